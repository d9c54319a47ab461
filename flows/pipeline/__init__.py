"""The pipeline: from a checked request to a published result."""
