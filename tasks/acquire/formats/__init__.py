"""Recognise and read the file formats of 4D-STEM."""
