"""Runs a configuration with several seeds: is coalescing ahead in each?

  python -m experiments.coalesce.seeds --config=FILE --workdir=DIR --seeds=10

The seeds are replicas of one run, which `coalesce run` could go on with. Beside
its report lies `seeds.md`: the Frechet distance of each method, and of each
seed the difference between a generator of ours and a baseline.

The method 'ensemble_long' is added where 'ensemble' is one: a fair control,
which has all steps of the metamodel and of adaptation.

Shapes: S seeds.
"""

from collections.abc import Mapping, Sequence
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags
import numpy as np

from coalesce_jax.cli import boundary
from coalesce_jax.cli import command as command_lib
from coalesce_jax.cli import leave
from coalesce_jax.cli import main as main_lib
from coalesce_jax.cli.definitions import kinds
from coalesce_jax.core import files
from coalesce_jax.metrics import spread
from coalesce_jax.pipeline import config as config_lib

# What coalescing makes of a node's size or below, and what it is compared with.
OURS = ('barycenter', 'adapted', 'ternary')
BASELINES = (
  'edge_only', 'transfer', 'ensemble', 'ensemble_long', 'model_average',
)  # fmt: skip


def compare(scores: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
  """Compares each generator of ours with each baseline in every seed.

  Args:
    scores: Frechet distance of each seed, `[S]`, by method.

  Returns:
    One row a pair: `ours`, `baseline`, `wins`, the number of seeds in which
    ours is lower, and of ours less the baseline the `mean` and `deviation`.
  """
  rows = []
  for ours in OURS:
    for baseline in BASELINES:
      if ours not in scores or baseline not in scores:
        continue
      gap = [a - b for a, b in zip(scores[ours], scores[baseline], strict=True)]
      rows.append(
        {
          'ours': ours,
          'baseline': baseline,
          'wins': sum(value < 0.0 for value in gap),
          'mean': float(np.mean(gap)),
          'deviation': spread.deviation(gap),
        }
      )
  return rows


def table(
  scores: Mapping[str, Sequence[float]], first: int, floor: float
) -> str:
  """Writes both tables as Markdown.

  Args:
    scores: see `compare`.
    first: the first seed.
    floor: Frechet distance of real images.
  """
  count = len(next(iter(scores.values())))
  names = ' | '.join(f'seed {first + s}' for s in range(count))
  lines = [f'| method | Frechet | {names} |', '|---|---:|' + '---:|' * count]
  for name, values in scores.items():
    each = ' | '.join(f'{value:.1f}' for value in values)
    lines.append(f'| {name} | {spread.text(values)} | {each} |')
  lines += [
    f'| real | {floor:.1f} |' + ' |' * count, '',
    f'| ours | baseline | ahead, of {count} seeds | ours less baseline |',
    '|---|---|---:|---:|',
  ]  # fmt: skip
  for row in compare(scores):
    gap = f'{row["mean"]:.1f} ± {row["deviation"]:.1f}'
    pair = f'{row["ours"]} | {row["baseline"]}'
    lines.append(f'| {pair} | {row["wins"]} | {gap} |')
  return '\n'.join([*lines, ''])


def _define(values: flags.FlagValues) -> None:
  config_flags.DEFINE_config_file(
    'config', None, 'Configuration file of the pipeline, or `FILE:quick`.',
    flag_values=values,
  )  # fmt: skip
  kinds.path(values, 'workdir', None, 'Folder of the run and of the table.')
  kinds.count(values, 'seeds', 10, 'Seeds, from `--config.seed` on.', 2, 1000)


def _run(values: command_lib.Values, stop: command_lib.Stop) -> dict[str, Any]:
  from coalesce_jax.pipeline import run as run_lib

  methods = tuple(values.config.methods)
  if 'ensemble' in methods and 'ensemble_long' not in methods:
    methods += ('ensemble_long',)
  config = config_lib.override(
    values.config, {'seeds': values.seeds, 'methods': methods}
  )
  if not set(BASELINES) & set(config.methods):
    raise ValueError(
      f'methods {tuple(config.methods)} has no baseline; name one of '
      f'{BASELINES}'
    )
  summary = run_lib.run(config, values.workdir, stop)
  folder = pathlib.Path(summary['workdir'])
  rows = files.read_json(folder / 'scores.json')
  scores = {
    name: rows[name]['frechet'] for name in rows if not name.startswith('node_')
  }
  text = table(scores, config.seed, summary['frechet']['real'])
  path = folder / 'seeds.md'
  files.write_bytes(path, text.encode())
  boundary.say(text)
  return {
    'workdir': summary['workdir'],
    'report': summary['report'],
    'table': str(path),
    'frechet': summary['frechet'],
    'frechet_std': summary['frechet_std'],
    'seeds': summary['seeds'],
    'pairs': compare(scores),
  }


COMMAND = command_lib.Command(
  'one configuration with several seeds, and how often coalescing is ahead',
  _define,
  _run,
  required=('config', 'workdir'),
)


def main(arguments: Sequence[str]) -> int:
  """Runs the command line and returns its exit code."""
  return main_lib.execute('seeds', COMMAND, arguments)


if __name__ == '__main__':
  leave.leave(main(sys.argv[1:]))
