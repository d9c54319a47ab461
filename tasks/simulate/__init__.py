"""Simulate scans whose truth is known."""
