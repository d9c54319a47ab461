"""Take in a block of a scan, and gather what all blocks tell."""
