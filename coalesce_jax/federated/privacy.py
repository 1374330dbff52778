r"""Bounds what one node can change, and adds noise to the average.

Clipping scales the update of a node so that its norm over all leaves is at most
C. With noise of standard deviation

.. math::
  \sigma C / m

on the plain average of m updates, this is the Gaussian mechanism as in McMahan
et al., https://arxiv.org/abs/1710.06963. m counts the nodes that were asked in
the round: one that does not answer has the update 0, so that one node more or
less changes the average by at most C / m. The privacy loss of all rounds
together is not computed here. It covers the parameters, not the metrics that
nodes report.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from coalesce_jax.core import types


@dataclasses.dataclass(frozen=True)
class Privacy:
  """Says how updates are bounded.

  Attributes:
    clip: C, greatest norm of the update of a node; 0 is no bound.
    noise: sigma, the noise of the average in units of C / m; 0 is none.

  Raises:
    ValueError: a value is negative, or there is noise without a bound.
  """

  clip: float = 0.0
  noise: float = 0.0

  def __post_init__(self):
    for name in ('clip', 'noise'):
      value = getattr(self, name)
      if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f'{name} {value} is negative')
    if self.noise and not self.clip:
      raise ValueError(
        f'noise {self.noise:g} needs clip, which says how far a node counts'
      )


def clipped(start: types.Params, end: types.Params, clip: float) -> Any:
  """Returns `end`, moved towards `start` until it is at most `clip` away.

  Args:
    start: what the node was sent.
    end: what the node ended with, of the same structure.
    clip: greatest Euclidean norm of the difference of all leaves.
  """
  update = jax.tree.map(jnp.subtract, end, start)
  norm = optax.tree.norm(update)
  # Nothing is divided by a norm of 0.
  scale = jnp.where(norm > clip, clip / jnp.maximum(norm, clip), 1.0)
  return jax.tree.map(lambda a, step: a + scale * step, start, update)


def noised(
  average: types.Params, deviation: float, rng: np.random.Generator
) -> Any:
  """Returns the tree with normal noise of this standard deviation.

  Args:
    average: a tree.
    deviation: standard deviation of the noise.
    rng: source of the noise. Whoever knows its seed can take the noise away.
  """
  return jax.tree.map(
    lambda leaf: (
      leaf + jnp.asarray(rng.normal(0.0, deviation, leaf.shape), leaf.dtype)
    ),
    average,
  )
