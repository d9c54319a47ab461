"""The way in: what listens on loopback, and lets through who knows the token."""
