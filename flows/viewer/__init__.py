"""Results in a browser: one run, or a table of all that a folder holds. On loopback only."""
