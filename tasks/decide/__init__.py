"""Decide how many distinct patterns there are."""
