"""Adversarial losses, one file each."""
