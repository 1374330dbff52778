"""Networks that are to shrink, and what they learn before that.

Shapes: K critics, S seeds, N samples, F features.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.compress import pruning
from coalesce_jax.compress import recovery
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.gan import terms
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop


class Whole(NamedTuple):
  """Networks to shrink, and how networks of their kind are trained.

  Attributes:
    subjects: the networks, each with one of the critics. Parameters have leaves
      `[S, ...]` for `[S]` keys, here and everywhere.
    critics: parameters of the K critics in the order of the problem.
    problem: ``specs -> problem`` of networks of other sizes.
    features: ``samples [N, ...] -> [N, F]``, in which neighbours are found.
    joined: ``parameters of each network -> those of the problem``.
    parted: the inverse of `joined`.
  """

  subjects: tuple[pruning.Subject, ...]
  critics: tuple[types.Params, ...]
  problem: Callable[[Sequence[generator_lib.Spec]], problems.Problem]
  features: Callable[[Any], np.ndarray]
  joined: Callable[[Sequence[types.Params]], types.Params] = lambda all: all[0]
  parted: Callable[[types.Params], Sequence[types.Params]] = lambda one: [one]


def trained_on(
  key: types.PRNGKey,
  whole: Whole,
  several: bool,
  hooks: loop.Hooks | None,
  scales_weight: float | None = None,
) -> tuple[Whole, loop.History]:
  """Returns the networks after further training, and its metrics.

  Args:
    key: one key, or `[S]` keys; consumed.
    whole: the networks.
    several: whether there are `[S]` keys.
    hooks: effects of the loop.
    scales_weight: of a penalty on norm scales, see `penalised`; None is none.
  """
  problem = whole.problem([subject.spec for subject in whole.subjects])
  if scales_weight is not None:
    problem = penalised(problem, scales_weight)
  params = whole.joined([subject.params for subject in whole.subjects])
  problem = recovery.continued(problem, params, whole.critics, several)
  trained = problems.train(key, problem, hooks)
  critics = tuple(trained.critics)
  subjects = tuple(
    subject._replace(params=own, critic_params=critic)
    for subject, own, critic in zip(
      whole.subjects, whole.parted(trained.params),
      critics[: len(whole.subjects)], strict=True,
    )
  )  # fmt: skip
  return whole._replace(subjects=subjects, critics=critics), trained.history


def penalised(problem: problems.Problem, weight: float) -> problems.Problem:
  """Returns the problem with a penalty on the scales of its generator's norms.

  The penalty is their mean absolute value. Liu et al., "Learning efficient
  convolutional networks through network slimming",
  https://arxiv.org/abs/1708.06519.

  Args:
    problem: the problem.
    weight: multiplies the penalty.
  """
  return recovery.with_term(problem, _mean_scale(), jnp.float32(weight))


@functools.lru_cache(maxsize=1)
def _mean_scale() -> terms.Term:
  def loss(
    params: types.Params, batch: terms.Batch, weight: jax.Array
  ) -> jax.Array:
    del batch
    scales = [
      jnp.ravel(leaf)
      for name, leaf in trees.flatten(params).items()
      if name.endswith('/scale')
    ]
    if not scales:
      return jnp.float32(0.0)
    return weight * jnp.mean(jnp.abs(jnp.concatenate(scales)))

  return terms.Term(loss, 'scales')
