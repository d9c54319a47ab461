"""Watch a folder, and have every acquisition analysed once."""
