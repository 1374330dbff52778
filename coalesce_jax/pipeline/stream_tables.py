"""Writes the scores of a stream as tables and as a figure.

Shapes: T tasks, S seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.continual import scores as scores_lib
from coalesce_jax.metrics import spread

# Rows of the summary of a score, where they are known.
_ROWS = ('learned', 'final', 'forgetting', 'backward', 'forward')


def matrix(names: Sequence[str], values: Any, score: str) -> str:
  """Returns a table of a score of every task after every other one.

  Args:
    names: names of the tasks.
    values: `[T, T]` or `[T, T, S]`; NaN is left out.
    score: name of the score.
  """
  lines = [
    f'| {score} after \\ on | {" | ".join(names)} |',
    '|---|' + '---:|' * len(names),
  ]
  for name, row in zip(names, np.asarray(values), strict=True):
    lines.append(f'| {name} | {" | ".join(map(cell, row))} |')
  return '\n'.join([*lines, ''])


def summary(
  names: Sequence[str], values: Any, score: str, alone: Any = None
) -> str:
  """Returns a table of what was learned, kept and transferred.

  Args:
    names: names of the tasks.
    values: see `matrix`.
    score: name of the score.
    alone: scores of networks that learned each task alone, `[T]` or `[T, S]`.
  """
  found = scores_lib.summary(np.asarray(values), alone)
  lines = [
    f'| {score} | {" | ".join(names)} | mean |',
    '|---|' + '---:|' * (len(names) + 1),
  ]
  for row in _ROWS:
    if row in found:
      cells = [cell(value) for value in (*found[row], found[row].mean(0))]
      lines.append(f'| {row} | {" | ".join(cells)} |')
  return '\n'.join([*lines, ''])


def sizes(
  names: Sequence[str], stored: Sequence[int], size: Sequence[int], whole: int
) -> str:
  """Returns a table of what each task has added.

  Args:
    names: names of the tasks.
    stored: parameters that each task has added.
    size: their bytes.
    whole: parameters of a network of its own.
  """
  lines = ['| task | parameters | share | bytes |', '|---|---:|---:|---:|']
  for name, count, n in zip(names, stored, size, strict=True):
    lines.append(f'| {name} | {count} | {count / whole:.3f} | {n} |')
  return '\n'.join([*lines, ''])


def cell(values: Any) -> str:
  """Writes a number, or mean and deviation over seeds; NaN is empty."""
  values = np.ravel(np.asarray(values, np.float64))
  values = values[np.isfinite(values)]
  if not len(values):
    return ''
  digits = 1 if np.abs(values).mean() >= 10.0 else 3
  text = f'{values.mean():.{digits}f}'
  if len(values) == 1:
    return text
  return f'{text} ± {spread.deviation(list(values)):.{digits}f}'


def heat(
  names: Sequence[str], matrices: Mapping[str, Any], score: str
) -> figure.Figure:
  """Draws matrices of scores side by side, means over seeds.

  Args:
    names: names of the tasks.
    matrices: `[T, T]` or `[T, T, S]` by title, at least one.
    score: name of the score.
  """
  means = {
    title: np.asarray(m, np.float64).reshape(len(names), len(names), -1).mean(2)
    for title, m in matrices.items()
  }
  finite = np.concatenate([m[np.isfinite(m)] for m in means.values()])
  wide = min(4, len(means))
  rows = -(-len(means) // wide)
  drawn = figure.Figure(
    figsize=(3.0 * wide + 1.0, 2.8 * rows + 0.4), layout='constrained'
  )
  axes = drawn.subplots(rows, wide, squeeze=False).ravel()
  for axis in axes[len(means) :]:
    axis.axis('off')
  for axis, (title, values) in zip(axes, means.items(), strict=False):
    shown = axis.imshow(values, vmin=finite.min(), vmax=finite.max())
    axis.set(title=title, xlabel='task', ylabel='after task')
    ticks = range(len(names))
    axis.set_xticks(ticks, [str(k + 1) for k in ticks])
    axis.set_yticks(ticks, [str(k + 1) for k in ticks])
  drawn.colorbar(shown, ax=axes.tolist(), label=score)
  return drawn
