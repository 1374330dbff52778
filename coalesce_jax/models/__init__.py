"""Generators with what they promise, and the files that hold them."""
