"""Compiled loops of the factorisation."""
