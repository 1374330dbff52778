"""The game: generators and critics that are trained against each other."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
