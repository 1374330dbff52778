"""Methods compared in one setting, at one budget and rate: a ready plan.

The configuration of the experiment has the fields

* `methods`, names of `methods.TABLE`, and a field for each of their variants;
* `budget`, fields of `budget.Budget`;
* `shared`, the configuration of the pipeline, with data set, split, local
  samples and seeds.

Where rates and steps are to be tuned for each method, see `tuning`.
"""

import functools
from typing import Any

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import budget
from coalesce_jax.trials import methods
from coalesce_jax.trials import results
from coalesce_jax.trials import selection
from coalesce_jax.trials import setting
from coalesce_jax.trials import starts
from coalesce_jax.trials import testing
from coalesce_jax.trials import trials


def validate(config: Any) -> None:
  """Checks every setting before anything is done.

  Raises:
    ValueError: one line with the field.
  """
  config_lib.validate(config.shared)
  methods.ordered(config.methods)
  budget.Budget(**config.budget)


def stages(config: Any) -> list[list[list[str]]]:
  """Names the trials by stages and tasks, see `trials.Stages`.

  Nodes come first, then the metamodels, then the methods, of which those that
  go on from others are in one task.
  """
  nodes, *others = (f'start-{n}' for n in starts.needed(config.methods))
  tasks: dict[str, list[str]] = {}
  for name in methods.ordered(config.methods):
    first, *_ = (*methods.TABLE[name].after, name)
    tasks[name] = tasks.get(first, [])
    tasks[name].append(f'test-{name}')
  tests = list({id(task): task for task in tasks.values()}.values())
  return [[[nodes]], *([[[n] for n in others]] if others else []), tests]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """Returns all trials by name, in the order in which they build on others."""
  work = trials.workspace(workdir, config, stop)

  @functools.cache
  def bench() -> bench_lib.Bench:
    text = f'{config.shared.dataset}:{config.shared.split}'
    here = setting.load(text, config.shared)
    return bench_lib.Bench(work, here, budget.Budget(**config.budget), stop)

  def start(name: str) -> dict[str, Any]:
    return starts.train(bench().setting, work, name)

  def test(name: str) -> dict[str, Any]:
    values = methods.values(config, name)
    choice = selection.Choice(1.0, 1.0, config.budget.steps)
    before = {
      other: results.read(workdir, f'test-{other}')
      for other in methods.TABLE[name].after
    }
    return testing.test(
      bench(), name, config.shared.local_samples, values,
      [choice] * len(values), before,
    )  # fmt: skip

  run = {'start': start, 'test': test}
  todo: dict[str, trials.Trial] = {}
  for name in trials.names(stages(config)):
    kind, _, row = name.partition('-')
    todo[name] = functools.partial(run[kind], row)
  return todo


def rows(
  config: Any, results: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
  """Collects a row of every variant of every method.

  Returns:
    `method`, its `label`, the `value` of its hyperparameter or None, and all
    measures of `testing.test`, each a list over seeds.
  """
  return [
    {
      'method': name,
      'label': methods.TABLE[name].label,
      'value': row['value'] if methods.TABLE[name].variants else None,
      **row['scores'],
    }
    for name in methods.ordered(config.methods)
    for row in results[f'test-{name}']['rows']
  ]
