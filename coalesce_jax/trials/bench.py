"""Trains a method in a setting, with what the methods before it left.

Shapes: M replicas (seeds, rates, variants), N local samples.
"""

from collections.abc import Callable, Mapping
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.models import generator
from coalesce_jax.pipeline import recipes
from coalesce_jax.runs import progress as progress_lib
from coalesce_jax.runs import workdir
from coalesce_jax.training import loop
from coalesce_jax.trials import budget as budget_lib
from coalesce_jax.trials import methods
from coalesce_jax.trials import setting as setting_lib
from coalesce_jax.trials import starts as starts_lib

# Suffix of results that other methods start from, while they are tuned.
TUNING = '_tuning'
# Numbers of the keys of the first seed: the tuning trains by other random
# numbers than the test.
_NUMBERS = {'': 1000, TUNING: 2000}


class Bench(NamedTuple):
  """Where methods are compared.

  Attributes:
    work: folder of the bundles.
    setting: the data.
    budget: what every method may spend.
    stop: whether a stop was asked for.
  """

  work: workdir.Workspace
  setting: setting_lib.Setting
  budget: budget_lib.Budget
  stop: Callable[[], bool] = lambda: False


class Trained(NamedTuple):
  """What training gave.

  Attributes:
    made: the generator, of M replicas.
    by_step: parameters of the averaged generators at each evaluation.
    metrics: of the last chunk.
    step_ms: milliseconds of a step and replica, after the first chunk, which
      compiles; None where there are no steps.
  """

  made: generator.Generator
  by_step: dict[int, Any]
  metrics: dict[str, np.ndarray]
  step_ms: float | None

  def distance(self, first: int, count: int) -> list[float] | None:
    """Distance of the two sources that critics of some replicas estimated."""
    seen = self.metrics.get('distance')
    return None if seen is None else [float(x) for x in seen[first:][:count]]


def train(
  bench: Bench,
  method: methods.Method,
  local: np.ndarray,
  *,
  seeds: list[int],
  values: np.ndarray,
  rates: np.ndarray,
  before: Mapping[str, Any],
  suffix: str = '',
) -> Trained:
  """Trains M replicas of a method as one program.

  Args:
    bench: where.
    method: of `methods.TABLE`.
    local: local samples, `[M, N, H, W, C]`.
    seeds: of each replica the number of its seed, M of them.
    values: of the method's hyperparameter, `[M]`.
    rates: factor of all learning rates, and that of the generator's once more,
      `[M, 2]`.
    before: results of the methods that it goes on from, whose `distance` is W1
      between metamodel and local samples.
    suffix: '' or `TUNING`, of the bundles that the method goes on from.
  """
  setting = bench.setting
  base, first = jax.random.key(setting.config.seed), _NUMBERS[suffix]
  key = jnp.stack([jax.random.fold_in(base, first + s) for s in seeds])

  def read(name: str) -> generator.Generator:
    return starts_lib.read(bench.work, setting, name, seeds)

  starts = {name: read(name) for name in method.starts}
  for other in method.after:
    starts[other] = read(_name(other, local.shape[1], suffix))
  by_step: dict[int, Any] = {}
  metrics: dict[str, np.ndarray] = {}
  times: dict[int, float] = {}

  def hooks(part: str) -> loop.Hooks:
    bar = progress_lib.steps(part, bench.budget.steps)

    def progress(step: int, _: int) -> None:
      times[step] = time.monotonic()
      bar(step)

    return loop.Hooks(
      log=lambda step, row: metrics.update(row),
      observe=lambda step, params: by_step.update({step: params}),
      stop=bench.stop,
      progress=progress,
    )

  made = method.recipe(
    recipes.Run(
      key=key,
      problem=setting.problem,
      local=jnp.asarray(local),
      config=bench.budget.fine_tuning(setting.config, rates),
      settings=setting.config,
      nodes=[read(name) for name in starts_lib.nodes_of(setting)],
      starts=starts,
      values=np.asarray(values, np.float32),
      distance=_distance_before(before, len(local)),
      hooks=hooks,
    )
  )
  jax.block_until_ready(made.params)
  if len(times) < 2:
    return Trained(made, by_step, metrics, None)
  spent = (times[max(times)] - times[min(times)]) / (max(times) - min(times))
  return Trained(made, by_step, metrics, round(1000 * spent / len(seeds), 2))


def _name(method: str, count: int, suffix: str) -> str:
  """Bundles of a method's result, for those that go on from it."""
  return f'{method}_n{count}{suffix}'


def keep(
  bench: Bench, name: str, count: int, suffix: str, made: generator.Generator
) -> None:
  """Keeps the result of a method, for those that go on from it."""
  starts_lib.write(bench.work, bench.setting, _name(name, count, suffix), made)


def _distance_before(before: Mapping[str, Any], count: int) -> np.ndarray:
  """Distance that a method before has estimated, for `count` replicas."""
  for result in before.values():
    if result.get('distance') is not None:
      seen = np.asarray(result['distance'], np.float32)
      return np.tile(seen, count // len(seen))
  return np.full(count, np.nan, np.float32)
