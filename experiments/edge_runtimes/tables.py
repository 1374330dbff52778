"""Tables and the figure of the runtimes."""

from typing import Any

from matplotlib import figure

from experiments.edge_runtimes import artifacts

Summary = dict[str, Any]


def write(summary: Summary) -> str:
  """Markdown: the runtimes, what 8 bits reached, and compression."""
  return '\n'.join(
    [
      '# A generator on one core', '',
      f'{summary["parameters"]:,} parameters, {summary["ternary"]:,} of them '
      'ternary. In brackets: over ONNX Runtime, float32.', '',
      *_runtimes(summary), '', *_quantized(summary),
      '## Bytes by way of storing, and compressed', '',
      *_compression(summary), '',
    ]
  )  # fmt: skip


def _runtimes(summary: Summary) -> list[str]:
  batches = _batches(summary)
  columns = [
    'bytes', 'cold start, s', 'peak MiB', 'above Python with NumPy',
    *(f'images a second, batch {batch}' for batch in batches), 'difference',
  ]  # fmt: skip
  scored = any(row['frechet'] is not None for row in summary['rows'])
  if scored:
    columns += ['mean difference', 'Frechet']
  lines = [f'| runtime | {" | ".join(columns)} |']
  lines.append('|---|' + '---:|' * len(columns))
  for row in summary['rows']:
    ratios = row['ratios']

    def over(text: str, key: str, ratios: dict[str, float] = ratios) -> str:
      return f'{text} ({_short(ratios[key])})' if key in ratios else text

    rates = row['images_a_second']
    difference = row['difference']
    cells = [
      row['label'],
      over(f'{row["bytes"]:,}' if row['bytes'] else '', 'bytes'),
      over(f'{row["cold_seconds"]:.2f}', 'cold'),
      over(f'{row["peak_mib"]:,.0f}', 'peak'),
      '' if row['above_mib'] is None else f'{row["above_mib"]:,.0f}',
      *(
        over(f'{rates[batch]:,.0f}', f'images_{batch}')
        if batch in rates else ''
        for batch in batches
      ),
      '' if difference is None else f'{difference:.1g}',
    ]  # fmt: skip
    if scored:
      mean, far = row['mean_difference'], row['frechet']
      cells.append('' if mean is None else f'{mean:.2g}')
      cells.append('' if far is None else f'{far:.1f}')
    lines.append(f'| {" | ".join(cells)} |')
  return lines


def _quantized(summary: Summary) -> list[str]:
  found = summary['quantized']
  if found is None:
    return []
  share = found['weights'] / summary['parameters']
  leaves = ', '.join(f'`{leaf}`' for leaf in found['leaves']) or 'nothing'
  return [
    f'Dynamic int8 quantized {leaves}, {share:.0%} of the parameters, by '
    f'{", ".join(found["operators"]) or "no operator"}; the rest is float32.',
    '',
  ]


def _compression(summary: Summary) -> list[str]:
  kinds = list(artifacts.COMPRESSORS)
  lines = [f'| stored | {" | ".join(kinds)} |']
  lines.append('|---|' + '---:|' * len(kinds))
  for row in summary['compression']['rows']:
    cells = [f'{row[kind]:,}' for kind in kinds]
    lines.append(f'| {row["stored"]} | {" | ".join(cells)} |')
  if not summary['ternary']:
    return lines
  lines += [
    '',
    'The entropy of the codes alone is '
    f'{summary["compression"]["entropy_bytes"]:,} bytes.',
  ]
  return lines


def _batches(summary: Summary) -> list[str]:
  return list(
    dict.fromkeys(b for row in summary['rows'] for b in row['images_a_second'])
  )


def _short(ratio: float) -> str:
  return f'{ratio:.2f}' if ratio < 10.0 else f'{ratio:.0f}'


def figures(summary: Summary) -> dict[str, figure.Figure]:
  """Bars of bytes, start, memory and rates by runtime."""
  rows = summary['rows'][::-1]
  panels = [
    ('bytes of the file', lambda row: row['bytes']),
    ('s from start to first image', lambda row: row['cold_seconds']),
    ('MiB at the first image', lambda row: row['peak_mib']),
    *(
      (
        f'images a second, batch {batch}',
        lambda row, batch=batch: row['images_a_second'].get(batch, 0.0),
      )
      for batch in _batches(summary)
    ),
  ]
  drawn = figure.Figure(figsize=(3.0 + 2.6 * len(panels), 4.2))
  axes = drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0]
  for axis, (title, value) in zip(axes, panels, strict=True):
    values = [value(row) for row in rows]
    bars = axis.barh([row['label'] for row in rows], values, color='C0')
    axis.bar_label(
      bars, [_amount(v) if v else '' for v in values], fontsize=7, padding=2
    )
    axis.set_title(title, fontsize=9)
    # Room for the numbers, which say what ticks would.
    axis.margins(x=0.4)
    axis.set_xticks([])
    axis.tick_params(labelsize=8)
  drawn.tight_layout()
  return {'runtimes': drawn}


def _amount(value: float) -> str:
  return f'{value:,.0f}' if value >= 10.0 else f'{value:.2f}'
