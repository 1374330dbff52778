"""Methods: each is a small file on the one game."""
