"""Reads the scores of critics, one or several for each sample.

Shapes: B batch.
"""

import jax
import jax.numpy as jnp


def of_samples(scores: jax.Array) -> jax.Array:
  """Returns the mean score of each sample, `[B]`.

  Args:
    scores: scores of a critic, `[B]`, or `[B, ...]` with several scores for
      each sample, such as those of its patches.
  """
  return jnp.mean(scores, tuple(range(1, scores.ndim)))
