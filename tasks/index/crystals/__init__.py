"""What is known of a crystal beforehand: its cell, symmetry, reflections and zone directions."""
