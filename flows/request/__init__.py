"""What can be asked of a run: options, files of options, sidecar files."""
