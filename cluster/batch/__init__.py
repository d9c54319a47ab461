"""Workers and whole runs as jobs of a batch system."""
