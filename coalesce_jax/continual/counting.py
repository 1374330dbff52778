r"""Counts what a task of Piggyback GAN stores, without training anything.

.. math:: \sum_l \; u_l p_l + N_l (F_l - u_l) \; + \; \text{other parameters}

Shapes: F filters of p parameters in a layer, u free ones, N filters of the
bank.
"""

from typing import NamedTuple

import jax

from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import layer_names
from coalesce_jax.transforms import piggyback


class Counted(NamedTuple):
  """Numbers of parameters of a task.

  Attributes:
    stored: parameters that the task adds.
    whole: parameters of a network of its own.
  """

  stored: int
  whole: int

  @property
  def share(self) -> float:
    """The stored share of a network of its own."""
    return self.stored / self.whole


def stored(spec: generator_lib.Spec, share: float, t: int) -> Counted:
  """Counts the parameters that task t adds to a family.

  Args:
    spec: spec of its network. First and last layers are left whole.
    share: lambda, the same for all tasks.
    t: index of the task. Task 0 trains a whole network.
  """
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  leaves = trees.flatten(shapes)
  rules = ((layer_names.inner_kernels(spec.network), share),)
  whole = total = trees.count(shapes)
  for name in piggyback.factorised(shapes, rules) if t else ():
    filters = leaves[name].shape[-1]
    free = piggyback.free_count(share, filters)
    bank = filters + (t - 1) * free
    size = leaves[name].size // filters
    total += (filters - free) * (bank - size)
  return Counted(total, whole)
