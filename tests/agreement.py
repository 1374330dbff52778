"""Whether two trees of arrays agree."""

import jax
import numpy as np


def equal(a, b):
  """Returns whether all leaves are equal."""
  return all(
    np.array_equal(x, y)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def close(a, b, atol=1e-4, rtol=1e-7):
  """Asserts that all leaves are close."""
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    np.testing.assert_allclose(x, y, atol=atol, rtol=rtol)
