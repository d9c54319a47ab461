"""Open files of every kind: what is cut out of them, and what they say of it."""
