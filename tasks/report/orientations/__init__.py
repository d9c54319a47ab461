"""What the report shows of orientations: maps in colours of directions, indices, boundaries."""
