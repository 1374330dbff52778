"""A data set and a split of its classes, in which methods are compared.

Shapes: S seeds, N local samples, D sample sets of the tuning, R images.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.data import partition
from coalesce_jax.metrics import evaluate
from coalesce_jax.pipeline import data
from coalesce_jax.trials import names as names_lib


class SampleSets(NamedTuple):
  """Rows of the training images of a target.

  Attributes:
    tested: local samples of the test, `[S, N]`.
    tuned: local samples of the tuning, and a last set that nobody learns from,
      `[D + 1, N]`. None is in `tested`, and none is there twice.
    reference: what the tuning measures against, `[R]`; in neither.
  """

  tested: np.ndarray
  tuned: np.ndarray
  reference: np.ndarray


@dataclasses.dataclass(frozen=True)
class Setting:
  """A data set and a split.

  Attributes:
    name: of folders and trials, 'mnist-overlapping'.
    config: configuration of the pipeline.
    problem: its data.
    sets: local samples of test and tuning; None is that those of the problem
      are tested, and nothing is tuned.
  """

  name: str
  config: Any
  problem: data.Problem
  sets: SampleSets | None = None

  @functools.cached_property
  def tuning(self) -> evaluate.Reference:
    """Training images of the target, measured like the held-out split."""
    return self.problem.training_reference(self._sets.reference)

  def tested(self, count: int) -> np.ndarray:
    """Returns local samples of the test, `[S, N, H, W, C]`."""
    if self.sets is None:
      return self.problem.local[:, :count]
    return self.problem.target[self.sets.tested[:, :count]]

  def tuned(self, count: int) -> np.ndarray:
    """Returns those of the tuning, and a set more, `[D + 1, N, H, W, C]`."""
    return self.problem.target[self._sets.tuned[:, :count]]

  @property
  def _sets(self) -> SampleSets:
    if self.sets is None:
      raise ValueError(f'{self.name}: there are no samples to tune with')
    return self.sets


def load(
  text: str, config: Any, *, most: int = 0, draws: int = 0, shuffle: int = 0
) -> Setting:
  """Loads the data of a setting.

  Args:
    text: the setting, 'DATASET:SPLIT'.
    config: configuration of the pipeline, for these.
    most: largest number of local samples that are tested; 0 is that those of
      the pipeline are tested, and nothing is tuned.
    draws: D.
    shuffle: seed of what the tuning draws.

  Raises:
    ValueError: no such data set or split, too few images.
  """
  problem = data.load(config)
  if not most:
    return Setting(names_lib.word(text), config, problem)
  try:
    sets = sample_sets(problem, config.seed, config.seeds, most, draws, shuffle)
  except ValueError as error:
    raise ValueError(f'{text}: {error}') from None
  return Setting(names_lib.word(text), config, problem, sets)


def sample_sets(
  problem: data.Problem,
  seed: int,
  seeds: int,
  most: int,
  draws: int,
  shuffle: int,
) -> SampleSets:
  """Draws sets for test and tuning that have no image in common.

  The first 20 of 100 local samples are the 20 of the same draw.

  Args:
    problem: the data.
    seed: of the first test set; those of other seeds follow.
    seeds: S.
    most: N.
    draws: D.
    shuffle: seed of what the tuning draws.

  Raises:
    ValueError: too few images.
  """
  tested = np.stack(
    [
      partition.few(seed + s, problem.labels, problem.split.target, most)
      for s in range(seeds)
    ]
  )
  free = np.setdiff1d(np.arange(len(problem.target)), tested)
  order = np.random.default_rng(shuffle).permutation(free)
  count, cut = len(problem.held_out), (draws + 1) * most
  if len(order) < cut + count:
    raise ValueError(
      f'{draws + 1} draws of {most} for the tuning and {count} training images '
      f'of the target to measure against are {cut + count}; {len(order)} of '
      f'{len(problem.target)} are in no test: ask for fewer samples'
    )
  tuned = order[:cut].reshape(draws + 1, most)
  return SampleSets(tested, tuned, order[cut:][:count])
