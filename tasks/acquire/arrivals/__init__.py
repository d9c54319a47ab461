"""Find new acquisitions in a folder, and know when each is complete."""
