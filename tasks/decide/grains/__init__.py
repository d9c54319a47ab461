"""Grains in dark fields: where each reflection is seen over the scan, and which belong together."""
