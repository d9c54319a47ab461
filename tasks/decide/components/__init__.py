"""Compare the components of one fit: which are one crystal, which are background."""
