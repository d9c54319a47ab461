"""Whether what is stored is whole: what a group holds is recorded once, and compared later."""
