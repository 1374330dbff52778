"""Smaller models: packed weights."""
