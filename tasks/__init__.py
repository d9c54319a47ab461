"""The computation: functions on arrays, the stores they read and write, the figures."""
