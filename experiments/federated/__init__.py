"""Federated meta-learning of gated classifiers against other methods."""
