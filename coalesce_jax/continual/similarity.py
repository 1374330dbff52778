r"""Finds the earlier task that is most like a new one, to start from it.

.. math::
  F_i = E_{(x, y)} (\partial |y - G(x)|_1 / \partial \theta_i)^2, \qquad
  d(F, F')^2 = \tfrac12 \sum_i (\sqrt{F_i} - \sqrt{F'_i})^2

The diagonal Fisher information of one network, on the data of each task,
describes the task. It is divided by its sum, so that d is the Hellinger
distance, from 0 to 1. In the manner of the task similarity of Varshney et al.,
"CAM-GAN", https://arxiv.org/abs/2103.04032, who compare it between tasks to
pick what a new one starts from.

Shapes: N pairs, E parameters.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import tasks as tasks_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.training import scan
from coalesce_jax.transforms import consolidation
from coalesce_jax.translation import training


def embedding(
  task: tasks_lib.Task, params: types.Params, samples: int = 64
) -> np.ndarray:
  """Returns the Fisher information of a network on a task, `[E]`, sum 1.

  It can be kept instead of the data of the task.

  Args:
    task: a task of image pairs.
    params: parameters of its network, the same for all tasks that are compared,
      such as those of the first task. It has no axis of seeds.
    samples: the most training pairs that are used.

  Raises:
    ValueError: the task has no pairs.
  """
  images = task.problem.args[0]
  if task.spec.condition_shape is None or not isinstance(images, training.Data):
    raise ValueError(f'task {task.name}: similarity needs pairs of images')
  pairs = tuple(jnp.asarray(x[:samples]) for x in images[:2])
  leaves = trees.flatten(_fisher(task.network)(params, pairs))
  flat = np.concatenate(
    [np.ravel(np.asarray(leaves[name], np.float64)) for name in sorted(leaves)]
  )
  return flat / max(flat.sum(), np.finfo(np.float64).tiny)


@functools.lru_cache(maxsize=8)
def _fisher(network: types.Network) -> Callable[..., types.Params]:
  def score(params: types.Params, pair: Any) -> jax.Array:
    condition, target = (pixels.decode(x[None]) for x in pair)
    return jnp.mean(jnp.abs(network.apply(params, condition) - target))

  def found(params: types.Params, pairs: Any) -> types.Params:
    return consolidation.fisher(score, params, pairs)

  return scan.once(found)


def distance(one: np.ndarray, other: np.ndarray) -> float:
  """Returns the Hellinger distance of two embeddings, from 0 to 1."""
  gap = np.sqrt(one) - np.sqrt(other)
  return float(np.sqrt(0.5 * np.sum(gap**2)))


def nearest(new: np.ndarray, earlier: Sequence[np.ndarray]) -> int:
  """Returns the index of the earlier task that is most like the new one.

  It is the setting `like` of `settings.Piggyback`.

  Args:
    new: embedding of the new task.
    earlier: embeddings of the earlier ones, by the same network.

  Raises:
    ValueError: there is none, or sizes differ.
  """
  if not earlier:
    raise ValueError('there is no earlier task')
  for other in earlier:
    if other.shape != new.shape:
      raise ValueError(
        f'embeddings of {other.size} and {new.size} parameters are of two '
        'networks'
      )
  return int(np.argmin([distance(new, other) for other in earlier]))
