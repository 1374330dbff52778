"""The methods, one file each. Every method is a setting of the game."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
