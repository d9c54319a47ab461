"""The processes of this machine that workers are: fork them, wait for them, leave nothing."""
