"""Everything one machine needs to work by itself: orimap up, doctor, warm processes."""
