"""Compares generated samples with real ones."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
