"""Chooses the channels to keep, within a budget of multiply-accumulates.

Budgets hold for several networks together, such as both directions of CycleGAN.

Shapes: C channels of a group.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from coalesce_jax.compress import channels
from coalesce_jax.compress import macs
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib

# Single groups change at most so often, until the budget is met so well.
_MOVES, _NEAR = 20, 0.01
# By name of a group, `[C]`.
Masks = dict[str, np.ndarray]
Importance = Mapping[str, np.ndarray]


def at_budget(
  specs: Sequence[generator_lib.Spec],
  importance: Sequence[Importance],
  share: float,
) -> list[Masks]:
  """Keeps the most important channels.

  Every group keeps its most important one. The number of the others is the one
  that comes nearest to the budget. Where that is more than 1 % away, single
  groups keep some channels more or fewer.

  Args:
    specs: the networks.
    importance: of each network's channels, comparable between groups.
    share: multiply-accumulates to keep, in (0, 1].

  Raises:
    ValueError: the share is out of range, importances are missing or not
      finite, or the budget is below what one channel of each group takes.
  """
  count = _Counter(specs, share)
  values = []
  for spec, each in zip(specs, importance, strict=True):
    groups = channels.groups(spec)
    if {g.name: (g.size,) for g in groups} != {
      name: np.shape(value) for name, value in each.items()
    }:
      raise ValueError(f'importances of {sorted(each)} are not of the groups')
    values.append({g.name: np.asarray(each[g.name], float) for g in groups})
  flat = np.concatenate([v for each in values for v in each.values()])
  if not np.all(np.isfinite(flat)):
    raise ValueError('importances are not all finite')
  # Of equal importances, those of all groups come in turns.
  turns = [np.arange(v.size) / v.size for each in values for v in each.values()]
  ranks = np.empty(flat.size, int)
  ranks[np.lexsort((np.concatenate(turns), -flat))] = np.arange(flat.size)
  ends = np.cumsum([v.size for each in values for v in each.values()])[:-1]
  ranked = np.split(ranks, ends)

  def sizes(n: int) -> list[int]:
    return [max(1, int((rank < n).sum())) for rank in ranked]

  found = iter(count.nearest(sizes, flat.size))
  order = iter(ranked)
  return [
    {name: next(order).argsort().argsort() < next(found) for name in each}
    for each in values
  ]


def uniform(specs: Sequence[generator_lib.Spec], share: float) -> list[Masks]:
  """Keeps the first channels of every group, the same share of each.

  Args:
    specs: the networks.
    share: see `at_budget`.

  Raises:
    ValueError: see `at_budget`.
  """
  count = _Counter(specs, share)
  widths = [g.size for spec in specs for g in channels.groups(spec)]
  # Groups of different sizes so gain their channels one after another.
  steps = 8 * max(widths)

  def sizes(n: int) -> list[int]:
    return [max(1, round(width * n / steps)) for width in widths]

  found = iter(count.nearest(sizes, steps))
  return [
    {g.name: np.arange(g.size) < next(found) for g in channels.groups(spec)}
    for spec in specs
  ]


def magnitude(spec: generator_lib.Spec, params: types.Params) -> Importance:
  """Returns the mean absolute weight that writes each channel.

  It is divided by the mean of its group, so that groups can be compared. Li et
  al., "Pruning filters for efficient ConvNets",
  https://arxiv.org/abs/1608.08710.

  Args:
    spec: the network.
    params: its parameters.
  """
  return _relative(spec, params, ('kernel',))


def norm_scales(spec: generator_lib.Spec, params: types.Params) -> Importance:
  """Returns the absolute scale of the norm of each channel.

  It is divided by the mean of its group. A group without norm has the
  importance of `magnitude`. Liu et al., "Learning efficient convolutional
  networks through network slimming", https://arxiv.org/abs/1708.06519.

  Args:
    spec: the network.
    params: its parameters.
  """
  return _relative(spec, params, ('scale', 'kernel'))


def _relative(
  spec: generator_lib.Spec, params: types.Params, kinds: tuple[str, ...]
) -> Importance:
  leaves, found = trees.flatten(params), {}
  for group in channels.groups(spec):
    for kind in kinds:
      written = [
        np.abs(np.asarray(leaves[part.leaf])).reshape(-1, group.size).mean(0)
        for part in group.writes
        if part.leaf.endswith(f'/{kind}')
      ]
      if written:
        break
    value = np.mean(written, 0)
    found[group.name] = value / max(float(value.mean()), 1e-30)
  return found


class _Counter:
  """Counts multiply-accumulates of several networks by sizes of their groups.

  Sizes are those of all groups of the first network, then of the second one,
  and so on.
  """

  def __init__(self, specs: Sequence[generator_lib.Spec], share: float):
    if not 0.0 < share <= 1.0:
      raise ValueError(f'share {share} of the multiply-accumulates, not (0, 1]')
    self._counts = [
      (macs.of_masks(spec), channels.groups(spec)) for spec in specs
    ]
    self._widths = [g.size for _, groups in self._counts for g in groups]
    self._budget = share * sum(macs.total(spec) for spec in specs)

  def total(self, sizes: Sequence[int]) -> float:
    """Returns the multiply-accumulates."""
    each = iter(sizes)
    return float(
      sum(
        count({g.name: np.ones(next(each)) for g in groups})
        for count, groups in self._counts
      )
    )

  def nearest(self, sizes: Callable[[int], list[int]], most: int) -> list[int]:
    """Returns the sizes that come nearest to the budget.

    They are ``sizes(n)``, n from 0 to `most`, where one or two groups gain or
    lose a channel as long as that comes nearer.
    """
    if self.total(sizes(0)) > self._budget:
      raise ValueError(
        f'one channel of each map takes {self.total(sizes(0)):.0f} '
        f'multiply-accumulates, the budget is {self._budget:.0f}'
      )
    low, high = 0, most
    while high - low > 1:
      middle = (low + high) // 2
      if self.total(sizes(middle)) <= self._budget:
        low = middle
      else:
        high = middle
    best = min((sizes(low), sizes(high)), key=self._far)
    for _ in range(_MOVES):
      if self._far(best) <= _NEAR * self._budget:
        break
      now = min([best, *self._moved(best)], key=self._far)
      if now == best:
        twice = (two for one in self._moved(best) for two in self._moved(one))
        now = min(twice, key=self._far, default=best)
      if self._far(now) >= self._far(best):
        break
      best = now
    return best

  def _moved(self, sizes: list[int]) -> list[list[int]]:
    """Returns sizes of which one group has a channel more or less."""
    return [
      [*sizes[:i], sizes[i] + change, *sizes[i + 1 :]]
      for i, width in enumerate(self._widths)
      for change in (-1, 1)
      if 1 <= sizes[i] + change <= width
    ]

  def _far(self, sizes: Sequence[int]) -> float:
    return abs(self.total(sizes) - self._budget)
