"""The rows as trials, then the summary."""

import functools
from typing import Any

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import data
from coalesce_jax.trials import trials
from experiments.ternary import stages as stages_lib
from experiments.ternary import tables
from experiments.ternary import variants


def validate(config: Any) -> None:
  """Checks every setting before anything is done.

  Raises:
    ValueError: one line with the field.
  """
  for name in config.variants:
    if name not in variants.TABLE:
      raise ValueError(f'variant {name!r} is not one of {list(variants.TABLE)}')
  if not config.datasets:
    raise ValueError('datasets are empty')
  if any(not times > 0.0 for times in config.narrow):
    raise ValueError(f'narrow {tuple(config.narrow)} are not positive')
  if not config.rates or any(not rate > 0.0 for rate in config.rates):
    raise ValueError(f'rates {tuple(config.rates)} are not positive numbers')
  first = config.datasets[0]
  if config.shared.seeds < 1:
    raise ValueError(f'shared.seeds {config.shared.seeds} is below 1')
  config_lib.pretrain(stages_lib.pipeline(config, first, {}))
  for variant in (variants.TABLE[name] for name in _chosen(config)):
    resolved = stages_lib.settings(config, first, variant)
    stages_lib.training(config, resolved, variant)


def stages(config: Any) -> list[list[list[str]]]:
  """Trials by stages and tasks, see `trials.Stages`."""
  validate(config)
  rows = [
    stages_lib.row_name(dataset, name) for dataset in config.datasets
    for name in _chosen(config)
  ]  # fmt: skip
  narrow = [
    stages_lib.narrow_name(dataset, times) for dataset in config.datasets
    for times in config.narrow
  ]  # fmt: skip
  return [
    [[stages_lib.float_name(dataset)] for dataset in config.datasets],
    [[name] for name in (*rows, *narrow)],
  ]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials, by name, in the order in which they build on each other."""
  validate(config)
  work = trials.workspace(workdir, config, stop)
  load = functools.cache(
    lambda name: data.load(stages_lib.pipeline(config, name, {}))
  )
  todo: dict[str, trials.Trial] = {}
  for dataset in config.datasets:
    todo[stages_lib.float_name(dataset)] = functools.partial(
      stages_lib.make_float, config, work, load, dataset
    )
  for dataset in config.datasets:
    for name in _chosen(config):
      todo[stages_lib.row_name(dataset, name)] = functools.partial(
        stages_lib.make_row, config, work, load, dataset, name
      )
  for dataset in config.datasets:
    for times in config.narrow:
      todo[stages_lib.narrow_name(dataset, times)] = functools.partial(
        stages_lib.make_narrow, config, work, load, dataset, times
      )
  return todo


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows and `best`, the best ternary row by data set, over its rivals."""
  summary = summarise(config, results)
  line = {'rows': len(summary['rows']), 'best': tables.best(summary)}
  return trials.Report(
    summary, line, tables.write(summary), tables.figures(summary)
  )


def summarise(
  config: Any, results: dict[str, dict[str, Any]]
) -> dict[str, Any]:
  """Rows of all variants and of the narrow generators."""
  rows = []
  for dataset in config.datasets:
    for name in _chosen(config):
      variant = variants.TABLE[name]
      rows.append(
        {'dataset': dataset, 'name': name, 'label': variant.label,
         'kind': variant.kind, **results[stages_lib.row_name(dataset, name)]}
      )  # fmt: skip
    for times in config.narrow:
      result = results[stages_lib.narrow_name(dataset, times)]
      label = f'float of width {result["width"]}'
      rows.append(
        {'dataset': dataset, 'name': f'narrow_{times:g}', 'label': label,
         'kind': 'narrow', 'times': times, **result}
      )  # fmt: skip
  return {'rows': rows}


def _chosen(config: Any) -> list[str]:
  return list(config.variants or variants.TABLE)
