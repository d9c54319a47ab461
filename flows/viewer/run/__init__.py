"""What one run is asked over HTTP, and how it answers."""
