"""The report page and the comparison of filters, from stored results alone."""
