"""Find the direct beam and follow it over the scan."""
