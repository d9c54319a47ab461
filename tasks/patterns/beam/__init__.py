"""The direct beam: recognise it over the scan, find it in every pattern, follow its drift."""
