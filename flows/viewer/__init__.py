"""The pages on which a person looks at runs, on loopback."""
