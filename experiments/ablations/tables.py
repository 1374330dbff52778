"""Tables and the figure of the ablations."""

from typing import Any

from matplotlib import figure
import numpy as np

from coalesce_jax.metrics import spread
from experiments.ablations import variants

Summary = dict[str, Any]


def write(summary: Summary) -> str:
  """Markdown, a table a group; `start` is the last stage's, in float."""
  lines: list[str] = []
  for group in _groups(summary):
    lines += [f'## {group}', '']
    lines += [
      '| variant | start | at the edge | coverage | memorisation | KB |',
      '|---|---:|---:|---:|---:|---:|',
    ]
    for row in (r for r in summary['rows'] if r['group'] == group):
      meta = row.get('float', row.get('metamodel'))
      edge = row['edge']
      lines.append(
        f'| {row["label"]} '
        f'| {spread.text(meta["frechet"]) if meta else ""} '
        f'| {spread.text(edge["frechet"])} | {np.mean(edge["coverage"]):.2f} '
        f'| {np.mean(np.array(edge["memorisation"], float)):.2f} '
        f'| {row["bytes"] / 1024:.0f} |'
      )
    lines.append('')
  found = corrupted(summary)
  if found:
    lines += ['## One corrupted node of five', '']
    lines += ['| method | corruption | change of the score |', '|---|---|---:|']
    lines += [
      f'| {label} | {bad} | {100.0 * change:+.1f} % |'
      for (label, bad), change in (
        (name.rsplit(', by ', 1), value) for name, value in found.items()
      )
    ]
    lines.append('')
  seeds = summary['seeds']
  if seeds:
    lines += [
      '## Seeds together', '',
      f'{seeds["seeds"]} seeds in one run, {seeds["steps"]} steps: '
      f'{seeds["ratio"]:.2f} times as fast as one by one; parameters differ by '
      f'{seeds["difference"]:.1e} of what training changed, distance estimates '
      f'by {seeds["w1_difference"]:.1e}.', '',
    ]  # fmt: skip
  return '\n'.join(lines)


def corrupted(summary: Summary) -> dict[str, float]:
  """What a corrupted node adds to a mean score, as a fraction of the clean."""
  rows = [r for r in summary['rows'] if r['split'] == variants.AGREEING]
  clean = {
    r['label']: np.mean(r['edge']['frechet'])
    for r in rows
    if not r['corrupted']
  }
  return {
    f'{r["label"]}, by {r["corrupted"]}': float(
      np.mean(r['edge']['frechet']) / clean[r['label']] - 1.0
    )
    for r in rows
    if r['corrupted'] and r['label'] in clean
  }


def draw(summary: Summary) -> figure.Figure:
  """Scores at the edge, a point a variant."""
  rows = [
    (f'{row["group"]}: {row["label"]}', row['edge']['frechet'])
    for row in reversed(summary['rows'])
  ]
  drawn = figure.Figure((9.0, 1.0 + 0.24 * len(rows)), layout='constrained')
  axis = drawn.subplots()
  axis.errorbar(
    [np.mean(scores) for _, scores in rows],
    [name for name, _ in rows],
    xerr=[spread.deviation(scores) for _, scores in rows],
    fmt='o',
  )
  axis.grid(True, axis='y', alpha=0.4)
  # Means of weights are tens of times as far as the others.
  axis.set_xscale('log')
  axis.set_xlabel('squared Frechet distance at the edge')
  axis.tick_params(axis='y', labelsize=7)
  axis.margins(y=0.03)
  return drawn


def _groups(summary: Summary) -> list[str]:
  return list(dict.fromkeys(row['group'] for row in summary['rows']))
