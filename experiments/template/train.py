"""The trials: nodes and metamodel once, then every method; and the report."""

import functools
from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import budget
from coalesce_jax.trials import methods
from coalesce_jax.trials import selection
from coalesce_jax.trials import setting
from coalesce_jax.trials import starts
from coalesce_jax.trials import testing
from coalesce_jax.trials import trials


def validate(config: Any) -> None:
  """Raises a ValueError of one line before anything is done."""
  config_lib.validate(config.shared)
  methods.ordered(config.methods)
  budget.Budget(**config.budget)


def stages(config: Any) -> list[list[list[str]]]:
  """Names the trials by stages; tasks of a stage can run side by side."""
  needed = [[[f'start-{n}']] for n in starts.needed(config.methods)]
  return [*needed, [[f'test-{n}'] for n in methods.ordered(config.methods)]]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """Returns the trials by name."""
  work = trials.workspace(workdir, config, stop)
  spend, steps = budget.Budget(**config.budget), config.budget.steps

  @functools.cache
  def bench() -> bench_lib.Bench:
    name = f'{config.shared.dataset}:{config.shared.split}'
    here = setting.load(name, config.shared)
    return bench_lib.Bench(work, here, spend, stop)

  def start(name: str) -> dict[str, Any]:
    return starts.train(bench().setting, work, name)

  def test(name: str) -> dict[str, Any]:
    values = methods.values(config, name)
    chosen = [selection.Choice(1.0, 1.0, steps)] * len(values)
    count = config.shared.local_samples
    return testing.test(bench(), name, count, values, chosen, {})

  todo: dict[str, trials.Trial] = {}
  for name in trials.names(stages(config)):
    kind, _, row = name.partition('-')
    todo[name] = functools.partial({'start': start, 'test': test}[kind], row)
  return todo


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Makes the summary, the table and the figure."""
  rows = [
    {'method': name, 'label': methods.TABLE[name].label, **row['scores']}
    | {'anchor': row['value'] if methods.TABLE[name].variants else None}
    for name in methods.ordered(config.methods)
    for row in results[f'test-{name}']['rows']
  ]
  lines = ['| method | anchor | Frechet | copied |', '|---|---:|---:|---:|']
  drawn = figure.Figure(figsize=(5.6, 3.6), layout='constrained')
  axis = drawn.subplots()
  for label in dict.fromkeys(row['label'] for row in rows):
    some = [row for row in rows if row['label'] == label]
    means = [float(np.mean(row['frechet'])) for row in some]
    bars = [spread.deviation(row['frechet']) for row in some]
    # A method without an anchor is a level line.
    at = [row['anchor'] for row in some]
    if at == [None]:
      at, means, bars = [0.0, max(config.anchors)], means * 2, bars * 2
    axis.errorbar(at, means, bars, marker='o', capsize=2, label=label)
    lines += [
      f'| {label} | {"" if row["anchor"] is None else row["anchor"]} '
      f'| {spread.text(row["frechet"])} | {np.mean(row["copied"]):.2f} |'
      for row in some
    ]
  axis.set(xlabel='anchor weight', ylabel='squared Frechet distance')
  axis.legend()
  line = {
    row['label'] if row['anchor'] is None else f'{row["anchor"]:g}':
      round(float(np.mean(row['frechet'])), 2)
    for row in rows
  }  # fmt: skip
  text = '\n'.join([*lines, ''])
  return trials.Report({'rows': rows}, line, text, {'anchors': drawn})
