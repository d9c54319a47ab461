"""What a person at a notebook or in a script of their own works with."""
