"""Generators with their specs, and the files that hold them."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
