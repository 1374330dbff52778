"""Defines loss terms that a generator descends in addition to its critics.

Shapes: B batch, Z latent.
"""

from collections.abc import Callable
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types


class Batch(NamedTuple):
  """The samples that the generator made in one step.

  Attributes:
    prior: what was drawn from the prior, such as latents `[B, Z]`.
    samples: output of the generator, such as images `[B, ...]`.
    key: key of what a term draws itself; consumed.
  """

  prior: Any
  samples: Any
  key: types.PRNGKey


class Term(NamedTuple):
  """One loss term.

  Attributes:
    loss: ``(params, batch, data) -> scalar``. `params` are the parameters of
      the network, not the latent ones; `data` are those of this name in
      `Inputs.terms`. A cached factory must make this function, so that games of
      equal terms share a compiled program.
    name: name of the data and of the metric, `'term/<name>'`.
  """

  loss: Callable[[types.Params, Batch, Any], jax.Array]
  name: str


@functools.lru_cache(maxsize=64)
def distillation(network: types.Network, weight: float) -> Term:
  """Returns the mean squared distance to a teacher at the same latents.

  The data of the term, `'distillation'`, are the teacher's parameters.

  Args:
    network: network of the teacher.
    weight: multiplies the mean square over all values of a batch. Of several
      samples in one tree it is the mean over them.
  """

  def loss(params: types.Params, batch: Batch, teacher: Any) -> jax.Array:
    del params
    target = jax.lax.stop_gradient(network.apply(teacher, batch.prior))
    squares = jax.tree.map(
      lambda x, y: jnp.mean((x - y) ** 2), batch.samples, target
    )
    return weight * jnp.mean(jnp.stack(jax.tree.leaves(squares)))

  return Term(loss, 'distillation')
