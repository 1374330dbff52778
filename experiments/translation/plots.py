"""Draws the scores of translators beside those of what learns nothing."""

from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread

# Measures, their labels, and the names of their floors.
SHOWN = (
  ('l1', 'L1', ''),
  ('frechet', 'Frechet', 'real'),
  ('frechet_random', 'Frechet, random features', 'real_random'),
)
_COLOURS = {'control': '#b8c4ce', 'method': '#2a6f97'}


def scores(results: dict[str, dict[str, Any]]) -> figure.Figure | None:
  """Returns bars of L1 and of Frechet distances, a column for each task.

  The dotted line is the distance between real targets for training and held
  out. None if no task has been scored.
  """
  tasks = [
    (r['task'], r) for name, r in results.items() if name.startswith('controls')
  ]
  if not tasks:
    return None
  drawn = figure.Figure(figsize=(3.2 * len(tasks), 7.0))
  grid = drawn.subplots(len(SHOWN), len(tasks), squeeze=False)
  for column, (task, control) in zip(grid.T, tasks, strict=True):
    methods = {
      name.removeprefix(f'{task}_'): r
      for name, r in results.items()
      if r['task'] == task and 'method' in r
    }
    rows = [(n, s, 'control') for n, s in control['scores'].items()]
    rows += [(r['method'], r['scores'], 'method') for r in methods.values()]
    for ax, (measure, label, real) in zip(column, SHOWN, strict=True):
      kept = [(n, _values(s, measure), k) for n, s, k in rows]
      kept = [(n, v, k) for n, v, k in kept if len(v)]
      if not kept:
        ax.axis('off')
        continue
      ax.bar(
        range(len(kept)),
        [np.mean(v) for _, v, _ in kept],
        yerr=[
          spread.deviation(list(v)) if len(v) > 1 else 0 for _, v, _ in kept
        ],
        color=[_COLOURS[k] for _, _, k in kept],
      )
      ax.set_xticks(range(len(kept)), [n for n, _, _ in kept], rotation=30)
      ax.set_ylabel(label)
      floor = [x for n, s, _ in rows for x in _values(s, real)]
      if floor:
        ax.axhline(floor[0], color='k', ls=':', lw=1)
        ax.set_yscale('log')
    column[0].set_title(task, fontsize=9)
  drawn.tight_layout()
  return drawn


def _values(found: dict[str, Any], measure: str) -> np.ndarray:
  value = found.get(measure)
  values = value if isinstance(value, list) else [value]
  return np.array([v for v in values if v is not None], float)
