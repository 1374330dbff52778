"""Spreads training over several devices."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
