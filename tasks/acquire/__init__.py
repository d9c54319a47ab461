"""Open an acquisition, whatever its format, and write its patterns into a store."""
