"""The grid as trials: what is shared, choices, tests; then the summary."""

import functools
import itertools
import json
from typing import Any

from coalesce_jax.data import partition as nodes_lib
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.runs import workdir as workdir_lib
from coalesce_jax.trials import trials
from experiments.few_shot import methods
from experiments.few_shot import plots
from experiments.few_shot import selection
from experiments.few_shot import starts as starts_lib
from experiments.few_shot import tables
from experiments.few_shot import tuning

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
  for name in config.methods:
    if name not in methods.TABLE:
      raise ValueError(f'method {name!r} is not one of {list(methods.TABLE)}')
    missing = set(methods.TABLE[name].after) - set(config.methods)
    if missing:
      raise ValueError(f'method {name!r} goes after {sorted(missing)}')
  for count in trials.sizes('samples', config.samples):
    if count < nodes_lib.MIN_LOCAL:
      raise ValueError(f'samples {count} are below {nodes_lib.MIN_LOCAL}')
  if config.seeds < 1:
    raise ValueError(f'seeds {config.seeds} is below 1')
  if not 1 <= config.tuning.draws <= config.seeds:
    raise ValueError(
      f'tuning.draws {config.tuning.draws} is not in [1, seeds {config.seeds}]'
    )
  rates, generator_rates = config.tuning.rates, config.tuning.generator_rates
  if not rates or len(rates) != len(generator_rates):
    raise ValueError(
      f'tuning: {len(rates)} rates and {len(generator_rates)} generator_rates '
      'are no pairs'
    )
  for rate in (*rates, *generator_rates):
    if not rate > 0.0:
      raise ValueError(f'tuning: rate {rate} is not positive')
  if not 0.0 <= config.tuning.copied <= 1.0:
    raise ValueError(f'tuning.copied {config.tuning.copied} is not in [0, 1]')
  for name, low in (('anchors', 0.0), ('shares', 0.0), ('radii', 1e-6)):
    values = tuple(config[name])
    if not values or not all(low <= v < 1.0 for v in values):
      raise ValueError(f'{name} {values} are not numbers in [{low:g}, 1)')
  if not config.settings:
    raise ValueError('settings are empty')
  for name, texts in (
    ('settings', [trials.word(text) for text in config.settings]),
    ('samples', trials.sizes('samples', config.samples)),
  ):
    if len(set(texts)) < len(texts):
      raise ValueError(f'{name} {texts}: one of them is there twice')
  for text in config.settings:
    resolved = starts_lib.pipeline(config, text)
    for check in (
      config_lib.pretrain,
      config_lib.barycenter,
      config_lib.ternary,
    ):
      check(resolved)
  part = config.budget
  for field in ('steps', 'look_every', 'chunk', 'generator_batches'):
    if part[field] < 1:
      raise ValueError(f'budget: {field} {part[field]} is below 1')
  if not 0 <= part.warmup < part.steps:
    raise ValueError(f'budget: warmup {part.warmup} is not in [0, steps)')
  if not 0.0 <= part.held_out < 1.0:
    raise ValueError(f'budget: held_out {part.held_out} is not in [0, 1)')
  if part.steps % part.look_every or part.look_every % part.chunk:
    raise ValueError(
      f'budget: steps {part.steps}, look_every {part.look_every} and chunk '
      f'{part.chunk} do not divide each other'
    )


def stages(config: Any) -> list[list[list[str]]]:
  """Trials by stages and tasks, see `trials.Stages`.

  The nodes of a setting; then what is made of them; then some methods of a
  setting, chosen and tested with every number of local samples.
  """
  validate(config)
  counts = trials.sizes('samples', config.samples)
  starts = [name for name in _starts(config) if name != 'nodes']
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
  work = workdir_lib.open_workspace(
    workdir, config=json.loads(config.to_json_best_effort()), stop=stop
  )
  load = functools.cache(functools.partial(starts_lib.load, config))
  counts = trials.sizes('samples', config.samples)
  todo: dict[str, trials.Trial] = {}
  for text in config.settings:
    for name in _starts(config):
      todo[_made(text, name)] = functools.partial(
        _shared, load, text, work, name
      )
    for count in counts:
      for name in _ordered(config):
        todo[_tuned(text, count, name)] = functools.partial(
          _choose, config, work, load, text, count, name, stop
        )
      for name in _ordered(config):
        todo[_tested(text, count, name)] = functools.partial(
          _test, config, work, load, text, count, name, stop
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
  for text, count, name in itertools.product(
    config.settings, trials.sizes('samples', config.samples), _ordered(config)
  ):
    method = methods.TABLE[name]
    here = {'setting': text, 'samples': count, 'method': name}
    tuned = results.get(_tuned(text, count, name), {'rows': []})['rows']
    best = min(tuned, key=tables.rank, default=None)
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
    'methods': _ordered(config),
  }  # fmt: skip


def _shared(load, text, work, name):
  return starts_lib.stages(load(text), work)[name]()


def _choose(config, work, load, text, count, name, stop):
  before = _before(work, name, functools.partial(_tuned, text, count))
  return tuning.choose(config, work, load(text), count, name, before, stop)


def _test(config, work, load, text, count, name, stop):
  rows = _result(work, _tuned(text, count, name))['rows']
  chosen = [
    selection.Choice(*(row[field] for field in selection.Choice._fields))
    for row in rows
  ]
  before = _before(work, name, functools.partial(_tested, text, count))
  return tuning.test(
    config, work, load(text), count, name, chosen, before, stop
  )


def _before(work, name, named):
  return {
    other: _result(work, named(other)) for other in methods.TABLE[name].after
  }


def _result(work: workdir_lib.Workspace, name: str) -> dict[str, Any]:
  return json.loads((work.path / 'trials' / f'{name}.json').read_text())


def _ordered(config: Any) -> list[str]:
  """The methods, those that others go after first."""
  return [name for name in methods.TABLE if name in config.methods]


def _shared_out(config: Any) -> list[list[str]]:
  """The methods by tasks, the longest first.

  Those that go on from another are in its task, after it.
  """
  groups: list[list[str]] = []
  of_method: dict[str, list[str]] = {}

  def length(names: list[str]) -> int:
    return sum(
      len(tuning.variants(config, methods.TABLE[name])) for name in names
    )

  for name in _ordered(config):
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


def _starts(config: Any) -> list[str]:
  """What the methods share, in the order in which it is made."""
  needed = {
    start for m in _ordered(config) for start in methods.TABLE[m].starts
  }
  return [name for name in starts_lib.NAMES if name in {'nodes', *needed}]


def _made(text: str, name: str) -> str:
  return f'shared-{trials.word(text)}-{name}'


def _tuned(text: str, count: int, name: str) -> str:
  return f'choose-{trials.word(text)}-n{count}-{name}'


def _tested(text: str, count: int, name: str) -> str:
  return f'test-{trials.word(text)}-n{count}-{name}'
