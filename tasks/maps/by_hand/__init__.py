"""What a person decides: how many patterns there are, and which clusters are one or several."""
