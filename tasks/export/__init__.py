"""Take results to other programs: one module for each kind of file."""
