"""What the viewer shows of one run: numbers from its stores, only those that are asked for."""
