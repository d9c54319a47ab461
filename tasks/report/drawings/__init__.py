"""What figures stored results allow, and how they are written."""
