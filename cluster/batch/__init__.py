"""Workers and whole runs as batch jobs."""
