"""Find what is wrong with pixels and with single values, and whether the values are counts."""
