"""Computes barycenters of known laws and measures what came back."""

import functools
from typing import Any

import jax

from coalesce_jax.trials import names as names_lib
from coalesce_jax.trials import trials
from experiments.ground_truth import estimators
from experiments.ground_truth import peers
from experiments.ground_truth import plots
from experiments.ground_truth import problems
from experiments.ground_truth import robustness
from experiments.ground_truth import shapes
from experiments.ground_truth import solving
from experiments.ground_truth import tables

# What the relative gap of the objective may be, up to a dimension.
LIMITS = ((16, 0.03), (128, 0.06))
POSITION_LIMIT = 0.05
TARGET_LIMIT = 0.1
GATED = ('T2', 'T2s', 'T3', 'T4', 'T5', 'T6', 'T7')
HIGH_TRUTHS = ('T5', 'T6', 'T7')
TRUTHS = ('T1', *GATED, 'T8', 'T9')


def plan(
  workdir: str, config: Any, stop: trials.Stop
) -> dict[str, trials.Trial]:
  """All trials of a configuration, by name."""
  del workdir
  dims = names_lib.sizes('dims', config.dims)
  wanted = tuple(config.truths)
  unknown = sorted(set(wanted) - set(TRUTHS))
  if unknown:
    raise ValueError(f'truths {unknown} are not among {list(TRUTHS)}')
  todo: dict[str, trials.Trial] = {}
  # The longest ones first, so that no worker is left with one of them.
  if not wanted or 'T9' in wanted:
    for nodes in sorted({n for n, _ in config.robustness.cases}):
      for objective in ('w1', 'w1_squared'):
        todo[f'T9_{objective}_K{nodes}'] = functools.partial(
          robustness.measure, nodes, objective, config, stop
        )
  for dimension in dims:
    for name, problem in _problems(config, dimension, wanted).items():
      todo[name] = functools.partial(
        solving.solve, problem, dimension, config, stop
      )
    if dimension > 1 and not wanted:
      todo[f'known_pairs_D{dimension}'] = functools.partial(
        known_pairs, dimension, config
      )
  if not wanted or 'T3' in wanted or 'T8' in wanted:
    for name, trial in shapes.trials(config, stop).items():
      if not wanted or name.split('_')[0] in wanted:
        todo[name] = trial
  if config.peers and not wanted and peers.available():
    todo['peers'] = lambda: {'rows': peers.compare(config.seed)}
  if not todo:
    raise ValueError(f'truths {list(wanted)} have no problem in dims {dims}')
  return todo


def _problems(
  config: Any, dimension: int, wanted: tuple[str, ...]
) -> dict[str, problems.Problem]:
  found = problems.problems(
    dimension, config.seed, solving.law_options(config), wanted
  )
  if dimension <= config.most_dims:
    return found
  return {
    name: p
    for name, p in found.items()
    if p.truth in HIGH_TRUTHS and p.method == 'joint' and p.objective != 'ball'
  }


def known_pairs(dimension: int, config: Any) -> dict[str, Any]:
  """Every estimator on pairs of laws of known W1."""
  families = problems.families(
    dimension, config.seed, solving.law_options(config)
  )
  rows = []
  for name, family in families.items():
    for distance in (0.0, 1.0, 3.0):
      true = family.unit * distance
      other = family.rest.copy()
      other[0] += true
      row = estimators.known_pair(
        family.at(family.rest),
        family.at(other),
        family.measure,
        jax.random.key(config.seed + 23),
      )
      rows.append({'D': dimension, 'family': name, 'true_w1': true} | row)
  return {'rows': rows}


def report(config: Any, results: dict[str, dict[str, Any]]) -> trials.Report:
  """Rows, and whether all that is limited is within its limit."""
  del config
  summary = summarise(results)
  return trials.Report(
    summary, summary, tables.tables(summary), plots.figures(summary)
  )


def summarise(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
  """Rows with their verdicts."""
  rows, pairs, robust, compared = [], [], [], []
  for name, result in results.items():
    if name == 'peers':
      compared = result['rows']
    elif name.startswith('known_pairs'):
      pairs += result['rows']
    elif name.startswith('T9'):
      robust += result['rows']
    else:
      rows.append(result | {'passed': verdict(result)})
  robustness.judge(robust)
  judged = [r['passed'] for r in [*rows, *robust] if r['passed'] is not None]
  passed = bool(judged) and all(judged)
  return {
    'passed': passed, 'rows': rows, 'robustness': robust,
    'known_pairs': pairs, 'peers': compared,
  }  # fmt: skip


def verdict(row: dict[str, Any]) -> bool | None:
  """Whether a row is within its limits; None where none is set."""
  if row['truth'] not in GATED:
    return None
  limit = next((x for d, x in LIMITS if row['D'] <= d), None)
  if limit is None:
    return None
  good = all(abs(s['relative_gap']) <= limit for s in row['seeds'])
  if row['truth'] == 'T2s':
    good &= all(
      abs(s['position'] - s['true_position']) <= POSITION_LIMIT
      for s in row['seeds']
    )
  if row['truth'] == 'T7' and row['objective'] == 'w1':
    good &= all(
      s['distance_to_truth'] <= TARGET_LIMIT * row['span'] for s in row['seeds']
    )
  return good
