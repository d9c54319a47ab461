"""Factorise the patterns: one sketch, one fit per number of components, one exact pass."""
