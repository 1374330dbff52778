"""Measures a method at what was selected for it.

Shapes: V variants, S seeds, N local samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.models import ensembles
from coalesce_jax.training import loop
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import evaluation
from coalesce_jax.trials import methods
from coalesce_jax.trials import selection


def test(
  bench: bench_lib.Bench,
  name: str,
  count: int,
  values: Sequence[float],
  selected: Sequence[selection.Choice],
  before: Mapping[str, Any],
) -> dict[str, Any]:
  """Measures every variant at its selected rates and step.

  Args:
    bench: where.
    name: of the method, in `methods.TABLE`.
    count: N.
    values: of the method's hyperparameter, V; one where it has none.
    selected: V choices.
    before: results of this function for the methods that it goes on from.

  Returns:
    `rows`, one a variant: `value`, `selection.Choice`, `scores` (a list over
    seeds by measure; `held_out` is the energy distance to held-out local
    samples), `curve` and `copies` (lists over seeds by step); `distance`, as of
    `tune`; `step_ms`.
  """
  method, setting = methods.TABLE[name], bench.setting
  seeds = list(range(setting.config.seeds))
  tested = setting.tested(count)
  local = np.tile(tested, (len(values),) + (1,) * (tested.ndim - 1))
  trained = bench_lib.train(
    bench, method, local,
    seeds=seeds * len(values), values=np.repeat(values, len(seeds)),
    rates=np.repeat(
      [(c.rate, c.generator_rate) for c in selected], len(seeds), 0
    ),
    before=before,
  )  # fmt: skip
  curves = evaluation.curves(
    setting, trained.made, trained.by_step, setting.problem.reference, tested,
    {'copied': seeds * len(values)},
  )  # fmt: skip
  rows, best = [], []
  for v, (value, choice) in enumerate(zip(values, selected, strict=True)):
    index = range(v * len(seeds), (v + 1) * len(seeds))
    found = []
    for s, i in enumerate(index):
      if bench.stop():
        raise loop.Interrupted('while a method is measured')
      params = trained.made.params
      if trained.by_step:
        params = trained.by_step[choice.step]
      one = trained.made._replace(params=trees.member(params, i), critic=None)
      best.append(one)
      scores = evaluation.scores(
        setting, one, local[i], held_out=bench.budget.held_out, seed=s
      )
      found.append(scores | {'bytes': method.size(one, setting.config)})
    rows.append(
      {
        'value': value, **choice._asdict(),
        'scores': {k: [f[k] for f in found] for k in found[0]},
        **{
          field: {
            step: [row[i] for i in index] for step, row in curves[m].items()
          }
          for field, m in (('curve', 'frechet'), ('copies', 'copied'))
        },
      }
    )  # fmt: skip
  if methods.leads_on(name):
    critic = trained.made.critic
    made = ensembles.batched(best[: len(seeds)])._replace(critic=critic)
    bench_lib.keep(bench, name, count, '', made)
  return {
    'rows': rows,
    'distance': trained.distance(0, len(seeds)),
    'step_ms': trained.step_ms,
  }
