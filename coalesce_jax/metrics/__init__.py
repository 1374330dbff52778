"""Measures of generated samples against real ones."""
