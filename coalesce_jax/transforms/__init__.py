"""Transforms of parameters between the trained ones and the network's."""
