"""Compare the components of one fit: merge those of one crystal, set background apart."""
