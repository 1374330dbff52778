"""Convolutions lowered to matrix products; no parameters."""
