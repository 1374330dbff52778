"""Compares generated samples with real ones."""
