"""Register reflections (ePattern), store them as lists, draw patterns from them."""
