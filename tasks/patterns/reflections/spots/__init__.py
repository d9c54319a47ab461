"""Find and measure the reflections of a single pattern."""
