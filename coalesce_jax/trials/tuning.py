"""Tunes a method: learning rates and step, on local samples of other draws.

Shapes: V variants, R pairs of rates, D sets of N local samples.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.models import ensembles
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import evaluation
from coalesce_jax.trials import methods
from coalesce_jax.trials import selection


@dataclasses.dataclass(frozen=True)
class Tuning:
  """What the tuning tries.

  Attributes:
    rates: factors of all learning rates, R of them.
    generator_rates: of each the factor of the generator's once more.
    seed: shuffles the images that it draws.
    draws: D.
    copied: fraction of copies that is allowed, see `selection.select`.
  """

  rates: tuple[float, ...]
  generator_rates: tuple[float, ...]
  seed: int = 1000
  draws: int = 2
  copied: float = 0.05

  def __post_init__(self):
    if not self.rates or len(self.rates) != len(self.generator_rates):
      raise ValueError(
        f'tuning: {len(self.rates)} rates and {len(self.generator_rates)} '
        'generator_rates are no pairs'
      )
    for rate in (*self.rates, *self.generator_rates):
      if not rate > 0.0:
        raise ValueError(f'tuning: rate {rate} is not positive')
    if not 0.0 <= self.copied <= 1.0:
      raise ValueError(f'tuning.copied {self.copied} is not in [0, 1]')


def tune(
  bench: bench_lib.Bench,
  tuning: Tuning,
  name: str,
  count: int,
  values: Sequence[float],
  before: Mapping[str, Any],
) -> dict[str, Any]:
  """Selects rates and step of every variant, on local samples of its own.

  By `selection.select`, with means over draws, over all rates and all steps
  that are evaluated. A method that takes no steps is measured likewise.

  Args:
    bench: where.
    tuning: what is tried.
    name: of the method, in `methods.TABLE`.
    count: N.
    values: of the method's hyperparameter, V; one where it has none.
    before: results of this function for the methods that it goes on from.

  Returns:
    `rows`, one a variant: `value`, what `selection.select` returns, and by both
    rates ('3, 1') and step `curves`, `copies`, and `unseen`, the copies of
    samples that were not trained on; the `distance` that the critics saw at the
    rates of the first row, a number a draw, for methods that go on from this.
  """
  method = methods.TABLE[name]
  rates = [(1.0, 1.0)]
  if method.trains:
    rates = list(zip(tuning.rates, tuning.generator_rates, strict=True))
  seeds = list(range(tuning.draws))
  local = bench.setting.tuned(count)
  each = len(rates) * len(seeds)
  times = (len(values) * len(rates),) + (1,) * (local.ndim - 1)
  trained = bench_lib.train(
    bench, method, np.tile(local[:-1], times),
    seeds=seeds * times[0], values=np.repeat(values, each),
    rates=np.tile(np.repeat(rates, len(seeds), 0), (len(values), 1)),
    before=before, suffix=bench_lib.TUNING,
  )  # fmt: skip
  sets = {
    'copied': seeds * times[0],
    'unseen': [len(seeds)] * len(seeds) * times[0],
  }
  found = evaluation.curves(
    bench.setting, trained.made, trained.by_step, bench.setting.tuning, local,
    sets,
  )  # fmt: skip
  rows: list[dict[str, Any]] = []
  for v, value in enumerate(values):
    firsts = range(v * each, (v + 1) * each, len(seeds))
    by_rate = {
      measure: {
        pair: {
          step: float(np.mean(row[at : at + len(seeds)]))
          for step, row in curve.items()
        }
        for pair, at in zip(rates, firsts, strict=True)
      }
      for measure, curve in found.items()
    }
    kept = {'curves': 'frechet', 'copies': 'copied', 'unseen': 'unseen'}
    rows.append(
      {
        'value': value,
        **selection.select(**by_rate, limit=tuning.copied),
        **{
          field: {f'{a:g}, {b:g}': row for (a, b), row in by_rate[m].items()}
          for field, m in kept.items()
        },
      }
    )
  first = rows[0]
  at = rates.index((first['rate'], first['generator_rate'])) * len(seeds)
  if methods.leads_on(name):
    params = trained.by_step[first['step']]
    made = trained.made._replace(params=params)
    start = ensembles.batched([ensembles.member(made, at + s) for s in seeds])
    bench_lib.keep(bench, name, count, bench_lib.TUNING, start)
  return {'rows': rows, 'distance': trained.distance(at, len(seeds))}
