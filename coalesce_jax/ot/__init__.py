"""Reference values of optimal transport: solvers, bounds and closed forms."""

from coalesce_jax.core import rooms

__getattr__ = rooms.submodules(__name__)
