"""Generators with their specs, and the files that hold them."""
