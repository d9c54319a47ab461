"""One analysis as a job: performed here, in another process, or in a batch system."""
