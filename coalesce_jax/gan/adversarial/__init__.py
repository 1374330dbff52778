"""Adversarial losses: each is a small file."""
