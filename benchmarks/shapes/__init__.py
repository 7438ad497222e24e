"""Other ways to learn how landmarks lie, beside the one that the library has; see ../shape_prior.py."""
