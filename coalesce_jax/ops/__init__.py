"""Convolutions and matrix products, without parameters of their own."""
