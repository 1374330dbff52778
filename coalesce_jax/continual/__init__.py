"""Continual learning: one network learns task after task."""
