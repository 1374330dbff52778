"""Loads data sets and users' images, and splits them over nodes."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
