"""Figures of the speed experiment."""

import math
from typing import Any

from matplotlib import figure

from experiments.speed.steps import PRECISION_OF

Summary = dict[str, Any]


def figures(summary: Summary) -> dict[str, figure.Figure]:
  """Figures by file name, those that have something to show."""
  drawn = {}
  if summary['steps']:
    drawn['steps'] = _steps(summary['steps'])
  if summary['translation']:
    drawn['translation'] = _steps(summary['translation'])
  if any(summary[part] for part in ('members', 'nodes', 'growth', 'memory')):
    drawn['growth'] = _growth(summary)
  if any('vmap' in row['ratios'] for row in summary['members']):
    drawn['members'] = _members(summary['members'])
  return drawn


def _steps(rows: list[dict[str, Any]]) -> figure.Figure:
  """Peers over ours, and the share of the product rate, by network."""
  drawn = figure.Figure(figsize=(9.0, 3.8))
  left, right = drawn.subplots(1, 2)
  peers = list(dict.fromkeys(name for row in rows for name in row['ratios']))
  rows = [bar for row in rows for bar in _bars(row)]
  names = [row['name'] for row in rows]
  width = 0.84 / max(len(peers), 1)
  for i, peer in enumerate(peers):
    label = f'PyTorch, {peer}'
    if peer in PRECISION_OF:
      label += f', over ours in {PRECISION_OF[peer]}'
    bars = left.bar(
      [j + width * i for j in range(len(rows))],
      [r['ratios'].get(peer, math.nan) for r in rows],
      0.9 * width,
      label=label,
    )
    left.bar_label(bars, fmt='%.2f', fontsize=7)
  left.axhline(1.0, color='k', lw=1)
  left.set_xticks([j + 0.42 - width / 2 for j in range(len(rows))], names)
  left.set_ylabel('seconds a step over ours')
  if peers:
    highest = max(v for r in rows for v in r['ratios'].values())
    left.set_ylim(0.0, 1.35 * highest)
    left.legend(fontsize=8, loc='upper right')
  bars = right.bar(names, [100.0 * r['share_of_rate'] for r in rows], 0.5)
  right.bar_label(bars, fmt='%.0f', fontsize=8)
  for axis in (left, right):
    axis.tick_params(axis='x', labelsize=8 if len(rows) < 5 else 6)
  right.set_ylabel('% of the rate of a large float32 product')
  drawn.tight_layout()
  return drawn


def _bars(row: dict[str, Any]) -> list[dict[str, Any]]:
  """Bars of one program, and of its batch over several devices if there are."""
  if 'method' in row:
    widths = f'widths {row["ngf"]}, {row["ndf"]}'
    name = f'{row["method"]}\n{widths}\nbatch {row["batch_size"]}'
  else:
    name = f'{row["size"]} px\nwidth {row["width"]}'
  found = [{key: row[key] for key in ('ratios', 'share_of_rate')}]
  found[0]['name'] = name
  if 'spread' in row:
    spread = row['spread']
    found.append(
      {
        'name': f'{name}\n{spread["devices"]} devices',
        'ratios': {k: v for k, v in spread.items() if k in row['ratios']},
        'share_of_rate': spread['share_of_rate'],
      }
    )
  return found


def _members(rows: list[dict[str, Any]]) -> figure.Figure:
  """Cost of a model against S, ours and PyTorch's, by width."""
  widths = sorted({row['width'] for row in rows})
  drawn = figure.Figure(figsize=(5.5 * len(widths), 4.5))
  axes = drawn.subplots(1, len(widths), squeeze=False)[0]
  for axis, width in zip(axes, widths, strict=True):
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in (row for row in rows if row['width'] == width):
      count, each = row['members'], 1e3 * row['seconds']
      precision = '' if row['precision'] == 'float32' else row['precision']
      lines.setdefault(f'ours {precision}', []).append((count, each))
      for peer, ratio in row['ratios'].items():
        name = f'{peer} {precision}' if peer == 'vmap' else peer
        lines.setdefault(f'PyTorch {name}', []).append((count, each * ratio))
    for name, points in lines.items():
      style = 'o-' if name.startswith('ours') else 's--'
      axis.plot(*zip(*points, strict=True), style, label=name)
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_xlabel('S, models')
    axis.set_ylabel('ms a step and model')
    axis.set_title(f'width {width}')
    axis.grid(alpha=0.3)
  axes[-1].legend(fontsize=8, loc='center left', bbox_to_anchor=(1.0, 0.5))
  drawn.tight_layout()
  return drawn


def _growth(summary: Summary) -> figure.Figure:
  """Cost a model against S and K, and memory."""
  drawn = figure.Figure(figsize=(12.0, 7.2))
  (members, nodes, memory), (widths, sizes, empty) = drawn.subplots(2, 3)
  empty.axis('off')
  for axis, rows, count, label in (
    (members, summary['members'], 'members', 'S, models in one program'),
    (nodes, summary['nodes'], 'nodes', 'K, critics in one program'),
  ):
    # Other precisions have a figure of their own.
    rows = [r for r in rows if r.get('precision', 'float32') == 'float32']
    for width in sorted({r['width'] for r in rows}):
      of = [r for r in rows if r['width'] == width]
      axis.plot(
        [r[count] for r in of],
        [1e3 * r['seconds'] for r in of],
        'o-',
        label=f'width {width}',
      )
    axis.set_xlabel(label)
    axis.set_ylabel('ms a step, over their number')
    axis.set_ylim(0.0, 1.2 * max((1e3 * r['seconds'] for r in rows), default=1))
    if rows:
      axis.legend(fontsize=8)
  for kind in ('members', 'nodes'):
    of = [r for r in summary['memory'] if r['axis'] == kind]
    memory.plot(
      [r['count'] for r in of],
      [r['resident_mib'] - r['imported_mib'] for r in of],
      'o-',
      label='S, models' if kind == 'members' else 'K, critics',
    )
  memory.set_xlabel('S or K')
  memory.set_ylabel('MiB beyond the imports')
  memory.set_ylim(bottom=0.0)
  memory.legend(fontsize=8)
  _networks(widths, summary, 'width', 'size', 28)
  _networks(sizes, summary, 'size', 'width', 16)
  drawn.tight_layout()
  return drawn


def _networks(
  axis: Any, summary: Summary, along: str, fixed: str, value: int
) -> None:
  """Cost of a step against one size of the network, the other one fixed."""
  rows = [
    {
      'seconds': row['step_seconds']['ours'],
      'product_seconds': row['operations'] / row['rate'],
      **{key: row[key] for key in ('size', 'channels', 'width')},
    }
    for row in summary['steps']
  ]
  rows = sorted(
    (
      row
      for row in (*rows, *summary['growth'])
      if row['channels'] == 1 and row[fixed] == value
    ),
    key=lambda row: row[along],
  )
  for key, label in (
    ('seconds', 'measured'),
    ('product_seconds', 'its operations at the rate of a large product'),
  ):
    axis.plot(
      [row[along] for row in rows], [1e3 * row[key] for row in rows], 'o-',
      label=label,
    )  # fmt: skip
  if rows:
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    ticks = [row[along] for row in rows]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize=8)
  other = 'pixels' if fixed == 'size' else 'width'
  axis.set_xlabel(
    f'{"width" if along == "width" else "pixels a side"}, {other} {value}'
  )
  axis.set_ylabel('ms a step')
