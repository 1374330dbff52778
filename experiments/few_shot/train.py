"""The grid as trials: what is shared, tuning, tests; then the summary."""

import functools
import itertools
from typing import Any

from coalesce_jax.data import partition
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import fields
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import budget as budget_lib
from coalesce_jax.trials import methods
from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import results
from coalesce_jax.trials import selection
from coalesce_jax.trials import setting as setting_lib
from coalesce_jax.trials import starts as starts_lib
from coalesce_jax.trials import testing
from coalesce_jax.trials import trials
from coalesce_jax.trials import tuning
from experiments.few_shot import plots
from experiments.few_shot import tables

# Variants of methods in a task, which loads data and compiles once for all
# numbers of samples; there are tasks enough to end together.
_VARIANTS_A_TASK = 2


def validate(config: Any) -> None:
  """Checks every setting before anything is done.

  Raises:
    ValueError: one line with the field.
  """
  if not config.methods:
    raise ValueError('methods are empty')
  methods.ordered(config.methods)
  for count in names_lib.sizes('samples', config.samples):
    if count < partition.MIN_LOCAL:
      raise ValueError(f'samples {count} are below {partition.MIN_LOCAL}')
  fields.positive(config, 'seeds')
  if not 1 <= config.tuning.draws <= config.seeds:
    raise ValueError(
      f'tuning.draws {config.tuning.draws} is not in [1, seeds {config.seeds}]'
    )
  tuning.Tuning(**config.tuning)
  for name, low in (('anchors', 0.0), ('shares', 0.0), ('radii', 1e-6)):
    values = tuple(config[name])
    if not values or not all(low <= v < 1.0 for v in values):
      raise ValueError(f'{name} {values} are not numbers in [{low:g}, 1)')
  if not config.settings:
    raise ValueError('settings are empty')
  for name, texts in (
    ('settings', [names_lib.word(text) for text in config.settings]),
    ('samples', names_lib.sizes('samples', config.samples)),
  ):
    if len(set(texts)) < len(texts):
      raise ValueError(f'{name} {texts}: one of them is there twice')
  for text in config.settings:
    resolved = pipeline(config, text)
    for check in (
      config_lib.pretrain,
      config_lib.barycenter,
      config_lib.ternary,
    ):
      check(resolved)
  budget_lib.Budget(**config.budget)


def pipeline(config: Any, text: str) -> Any:
  """Returns the configuration of the pipeline for a setting, 'DATASET:SPLIT'.

  Raises:
    ValueError: no such split.
  """
  dataset, colon, split = text.partition(':')
  if not colon:
    raise ValueError(f'setting {text!r} is not DATASET:SPLIT')
  partition.parse(split)
  changes = {
    'dataset': dataset, 'split': split, 'seed': config.seed,
    'seeds': config.seeds,
    # Of the pipeline; the trials draw their own.
    'local_samples': partition.MIN_LOCAL,
    'adapt': {
      'augment': config.augment.get(dataset, ''),
      'held_out': config.budget.held_out,
    },
  }  # fmt: skip
  return config_lib.override(config.shared, changes)


def load(config: Any, text: str) -> setting_lib.Setting:
  """Loads the data of a setting.

  Raises:
    ValueError: no such data set or split, too few images.
  """
  return setting_lib.load(
    text,
    pipeline(config, text),
    most=max(names_lib.sizes('samples', config.samples)),
    draws=config.tuning.draws,
    shuffle=config.tuning.seed,
  )


def stages(config: Any) -> list[list[list[str]]]:
  """Trials by stages and tasks, see `trials.Stages`.

  The nodes of a setting; then its metamodels; then some methods of a setting,
  tuned and tested with every number of local samples.
  """
  validate(config)
  counts = names_lib.sizes('samples', config.samples)
  starts = [
    name for name in starts_lib.needed(config.methods) if name != 'nodes'
  ]
  made = [[_made(text, n)] for text in config.settings for n in starts]
  return [
    [[_made(text, 'nodes')] for text in config.settings],
    *([made] if made else []),
    [
      [
        named(text, n, m)
        for n in counts
        for named in (_tuned, _tested)
        for m in some
      ]
      for some in _shared_out(config)
      for text in config.settings
    ],
  ]


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials, by name, in the order in which they build on each other."""
  work = trials.workspace(workdir, config, stop)
  bench = functools.cache(functools.partial(_bench, config, work, stop))
  counts = names_lib.sizes('samples', config.samples)
  todo: dict[str, trials.Trial] = {}
  for text in config.settings:
    for name in starts_lib.needed(config.methods):
      todo[_made(text, name)] = functools.partial(_shared, bench, text, name)
    for count in counts:
      for name in methods.ordered(config.methods):
        todo[_tuned(text, count, name)] = functools.partial(
          _tune, config, bench, text, count, name
        )
      for name in methods.ordered(config.methods):
        todo[_tested(text, count, name)] = functools.partial(
          _test, config, bench, text, count, name
        )
  return todo


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows and `best`, ours and the best baseline of each setting and number."""
  summary = summarise(config, results)
  line = {'rows': len(summary['rows']), 'best': tables.best(summary)}
  return trials.Report(
    summary, line, tables.write(summary), plots.figures(summary)
  )


def summarise(
  config: Any, results: dict[str, dict[str, Any]]
) -> dict[str, Any]:
  """Rows of all tests that there are, and what was chosen."""
  rows, choices = [], []
  counts = names_lib.sizes('samples', config.samples)
  ordered = methods.ordered(config.methods)
  for text, count, name in itertools.product(config.settings, counts, ordered):
    method = methods.TABLE[name]
    here = {'setting': text, 'samples': count, 'method': name}
    tuned = results.get(_tuned(text, count, name), {'rows': []})['rows']
    best = min(tuned, key=selection.rank, default=None)
    for row in tuned:
      choices.append(
        here
        | {
          k: row[k]
          for k in (
            'value',
            *selection.Choice._fields,
            'frechet',
            'copied',
            'allowed',
          )
        }
      )
    result = results.get(_tested(text, count, name), {'rows': []})
    for row in result['rows']:
      rows.append(
        here
        | {
          'label': method.label, 'ours': method.ours,
          'variant': row['value'] if method.variants else None,
          # The variant that the rule of the tuning chose.
          'chosen': best is None or row['value'] == best['value'],
          'step_ms': result.get('step_ms'), **row,
        }
      )  # fmt: skip
  common = {
    name: result['frechet']
    for name, result in results.items()
    if name.startswith('shared-')
  }
  return {
    'rows': rows, 'choices': choices, 'shared': common,
    'methods': ordered,
  }  # fmt: skip


def _bench(config, work, stop, text):
  budget = budget_lib.Budget(**config.budget)
  return bench_lib.Bench(work, load(config, text), budget, stop)


def _shared(bench, text, name):
  return starts_lib.train(bench(text).setting, bench(text).work, name)


def _tune(config, bench, text, count, name):
  here = bench(text)
  return tuning.tune(
    here, tuning.Tuning(**config.tuning), name, count,
    methods.values(config, name),
    _before(here.work, name, functools.partial(_tuned, text, count)),
  )  # fmt: skip


def _test(config, bench, text, count, name):
  here = bench(text)
  rows = results.read(here.work.path, _tuned(text, count, name))['rows']
  selected = [
    selection.Choice(*(row[field] for field in selection.Choice._fields))
    for row in rows
  ]
  return testing.test(
    here, name, count, methods.values(config, name), selected,
    _before(here.work, name, functools.partial(_tested, text, count)),
  )  # fmt: skip


def _before(work, name, named):
  return {
    other: results.read(work.path, named(other))
    for other in methods.TABLE[name].after
  }


def _shared_out(config: Any) -> list[list[str]]:
  """The methods by tasks, the longest first.

  Those that go on from another are in its task, after it.
  """
  groups: list[list[str]] = []
  of_method: dict[str, list[str]] = {}

  def length(names: list[str]) -> int:
    return sum(len(methods.values(config, name)) for name in names)

  for name in methods.ordered(config.methods):
    after = methods.TABLE[name].after
    if after:
      group = of_method[after[0]]
    else:
      if not groups or length([*groups[-1], name]) > _VARIANTS_A_TASK:
        groups.append([])
      group = groups[-1]
    group.append(name)
    of_method[name] = group
  return sorted(groups, key=length, reverse=True)


def _made(text: str, name: str) -> str:
  return f'shared-{names_lib.word(text)}-{name}'


def _tuned(text: str, count: int, name: str) -> str:
  return f'choose-{names_lib.word(text)}-n{count}-{name}'


def _tested(text: str, count: int, name: str) -> str:
  return f'test-{names_lib.word(text)}-n{count}-{name}'
