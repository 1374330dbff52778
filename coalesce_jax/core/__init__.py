"""Shared types, parameter trees, files, signals and PyTorch state dicts."""
