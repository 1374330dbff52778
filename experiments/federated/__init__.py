"""Federated meta-learning of gated classifiers, and what it is compared with."""
