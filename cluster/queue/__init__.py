"""The commands of the batch systems: submit, look up, cancel."""
