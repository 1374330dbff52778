"""Draws sample grids and curves of a run.

Rows that a damaged disk changed are left out: those with other metrics, or
metrics of other shapes, than most rows of their stage.

Shapes: N images of a grid, H, W, C image, S replicas, K critics, T rows.
"""

import io
import math
from typing import Any

from matplotlib import figure
import numpy as np
from PIL import Image

from coalesce_jax.runs import metric_rows

# Lines differ by these, and not by their colours alone.
_MARKERS = 'os^vDxP*'
_DASHES = ('-', '--', '-.', (0, (5, 1)), (0, (3, 1, 1, 1)))
# Most lines of a panel that are named; more names would cover them.
_NAMED = 8


def samples_figure(grids: dict[str, np.ndarray]) -> figure.Figure:
  """Draws one panel per grid of images.

  Args:
    grids: images by title, `[N, H, W, C]`, uint8 or in [-1, 1].
  """
  columns = min(4, len(grids))
  lines = math.ceil(len(grids) / columns)
  drawn = figure.Figure(figsize=(3.2 * columns, 3.4 * lines))
  axes = np.atleast_1d(drawn.subplots(lines, columns)).reshape(-1)
  for ax in axes:
    ax.axis('off')
  for ax, (name, images) in zip(axes, grids.items(), strict=False):
    picture = tile(images)
    if picture.shape[2] == 1:
      picture = picture[..., 0]
    ax.imshow(picture, cmap='gray', vmin=0.0, vmax=1.0)
    ax.set_title(name.replace('_', ' '))
  drawn.tight_layout()
  return drawn


def tile(images: np.ndarray, gap: int = 1) -> np.ndarray:
  """Arranges images in a square grid.

  Args:
    images: `[N, H, W, C]`, uint8 or in [-1, 1].
    gap: pixels between two images.

  Returns:
    One image `[H', W', C]` in [0, 1].
  """
  images = np.asarray(images)
  scale = images / 255.0 if images.dtype == np.uint8 else (images + 1.0) / 2.0
  n, height, width, channels = scale.shape
  side = math.ceil(math.sqrt(n))
  lines = math.ceil(n / side)
  sheet = np.full(
    (lines * (height + gap) + gap, side * (width + gap) + gap, channels), 0.35
  )
  for i, image in enumerate(np.clip(scale, 0.0, 1.0)):
    top = gap + (i // side) * (height + gap)
    left = gap + (i % side) * (width + gap)
    sheet[top : top + height, left : left + width] = image
  return sheet


def png(images: np.ndarray) -> bytes:
  """Returns a square grid of images as a PNG file, a pixel a pixel."""
  picture = np.round(tile(images) * 255.0).astype(np.uint8)
  picture = picture[..., 0] if picture.shape[2] == 1 else picture
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, format='PNG', optimize=True)
  return buffer.getvalue()


def adaptation_figure(
  records: list[dict[str, Any]], rows: dict[str, dict[str, Any]]
) -> figure.Figure | None:
  """Draws the Frechet distance against steps for every method.

  Args:
    records: rows of `metrics.jsonl`.
    rows: scores by method, each a list over replicas.

  Returns:
    The figure, or None without curves.
  """
  curves = {
    stage.removesuffix('/curve'): metric_rows.rows(records, stage, 'frechet')
    for stage in metric_rows.stages(records)
    if stage.endswith('/curve') and stage != 'ternary/curve'
  }
  curves = {stage: points for stage, points in curves.items() if points}
  if not curves:
    return None
  drawn = figure.Figure(figsize=(7.5, 4.5))
  ax = drawn.subplots()
  for k, (name, points) in enumerate(curves.items()):
    steps = [p['step'] for p in points]
    values = np.array([p['frechet'] for p in points], float)
    (line,) = ax.plot(
      steps, values.mean(1), marker=_MARKERS[k % len(_MARKERS)], markersize=5,
      linestyle=_DASHES[k % len(_DASHES)], label=name.replace('_', ' '),
    )  # fmt: skip
    ax.fill_between(
      steps, values.min(1), values.max(1), alpha=0.2, color=line.get_color()
    )
  if rows:
    real = float(np.mean(next(iter(rows.values()))['real']))
    ax.axhline(real, color='black', linestyle=':', label='real')
  ax.set_yscale('log')
  ax.set_xlabel('generator steps at the edge node')
  ax.set_ylabel('squared Frechet distance')
  ax.legend()
  ax.grid(alpha=0.3)
  drawn.tight_layout()
  return drawn


def distances_figure(
  records: list[dict[str, Any]], rows: dict[str, dict[str, Any]]
) -> figure.Figure | None:
  """Draws critic distances, position and residual against steps.

  Args:
    records: rows of `metrics.jsonl`.
    rows: not used.

  Returns:
    The figure with one column per stage, or None without these stages.
  """
  del rows
  rows_of = {
    s: metric_rows.rows(records, s, 'w1_smooth')
    for s in ('barycenter', 'barycenter_1', 'barycenter_2', 'adapted')
  }
  stages = [s for s, points in rows_of.items() if points]
  if not stages:
    return None
  drawn = figure.Figure(figsize=(5.0 * len(stages), 6.0))
  axes = drawn.subplots(2, len(stages), squeeze=False, sharex='col')
  for column, name in enumerate(stages):
    points = rows_of[name]
    steps = [p['step'] for p in points]
    w1 = np.array([p['w1_smooth'] for p in points], float)  # [T, S, K]
    top, bottom = axes[:, column]
    for k in range(w1.shape[-1]):
      label = f'W1 to source {k + 1}'
      if name == 'adapted':
        label = 'W1 to local samples' if k == 0 else 'W1 to metamodel'
      top.plot(
        steps, w1[..., k].mean(1), label=label,
        marker=_MARKERS[k % len(_MARKERS)], markevery=0.1, markersize=4,
      )  # fmt: skip
    top.set_title(name.replace('_', ' '))
    top.set_ylabel('critic estimate, pixel units')
    if {'position', 'residual', 'distance'} <= points[0].keys():
      position = np.array([p['position'] for p in points], float)
      residual = np.array([p['residual'] for p in points], float)
      distance = np.array([p['distance'] for p in points], float)
      top.plot(
        steps, residual.mean(1), color='grey', linestyle='--', label='residual'
      )
      top.plot(
        steps, distance.mean(1), color='black', linestyle=':',
        label='distance of the sources',
      )  # fmt: skip
      shown = position.mean(1)
      # There is no position until the critics estimate two distances.
      shown = np.where((shown >= 0.0) & (shown <= 1.0), shown, np.nan)
      if np.any(np.isfinite(shown)):
        bottom.plot(steps, shown, color='tab:purple')
        bottom.set_ylim(0.0, 1.0)
        bottom.set_ylabel('position on the segment')
    top.legend(fontsize=8)
    if bottom.lines:
      bottom.grid(alpha=0.3)
    else:  # A stage without a segment, or without a position on it.
      bottom.axis('off')
      top.tick_params(labelbottom=True)
    (bottom if bottom.lines else top).set_xlabel('generator steps')
    top.grid(alpha=0.3)
  drawn.tight_layout()
  return drawn


def metrics_figures(
  records: list[dict[str, Any]],
) -> dict[str, figure.Figure]:
  """Draws all metrics of every stage against steps, a panel a metric.

  A metric of several critics or replicas has a line for each of them, with its
  name. A position beyond the segment is left out, as in `distances_figure`.

  Args:
    records: rows of `metrics.jsonl`.

  Returns:
    A figure by stage, in the order of the rows.
  """
  found = {}
  for stage in metric_rows.stages(records):
    points = metric_rows.rows(records, stage)
    names = [
      n for n, v in points[0].items() if n != 'step' and metric_rows.form(v)
    ]
    if not names or stage.endswith('/time'):
      continue
    columns = min(4, len(names))
    lines = math.ceil(len(names) / columns)
    drawn = figure.Figure(figsize=(3.2 * columns, 2.6 * lines))
    axes = np.atleast_1d(drawn.subplots(lines, columns)).reshape(-1)
    for ax in axes[len(names) :]:
      ax.axis('off')
    for ax, name in zip(axes, names, strict=False):
      values = np.array([p[name] for p in points], float)
      values = values.reshape(len(points), -1)
      if name == 'position':
        values = np.where((values >= 0.0) & (values <= 1.0), values, np.nan)
      labels = metric_rows.labels(points[0][name])
      for k, line in enumerate(values.T):
        ax.plot(
          [p['step'] for p in points], line, label=labels[k],
          marker=_MARKERS[k % len(_MARKERS)], markevery=0.1, markersize=4,
          linestyle=_DASHES[k % len(_DASHES)],
        )  # fmt: skip
      if 1 < len(labels) <= _NAMED:
        ax.legend(fontsize=7)
      ax.set_title(name)
      ax.grid(alpha=0.3)
    drawn.suptitle(stage, y=1.0 - 0.1 / drawn.get_figheight(), va='top')
    _spaced(drawn, columns, lines)
    found[stage] = drawn
  return found


def _spaced(drawn: figure.Figure, columns: int, lines: int) -> None:
  """Places panels with room for tick labels and titles, in inches.

  `tight_layout` draws all labels once more, which takes as long as drawing.
  """
  across, down = 0.65, 0.6
  width, height = drawn.get_size_inches()
  panel = (width - columns * across - 0.15) / columns
  tall = (height - lines * down - 0.35) / lines
  drawn.subplots_adjust(
    left=across / width, right=1.0 - 0.15 / width,
    bottom=0.3 / height, top=1.0 - 0.65 / height,
    wspace=across / panel, hspace=down / tall,
  )  # fmt: skip
