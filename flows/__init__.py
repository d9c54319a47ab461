"""What happens, and in which order: the pipeline, its runners, the command line."""
