"""The sections of the report: what each shows, filled in from the stored results."""
