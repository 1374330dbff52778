"""The table of scores: its columns, its rows, and what they mean."""

from typing import Any, NamedTuple

import numpy as np


class Column(NamedTuple):
  """One column of the table.

  Attributes:
    key: name of the score.
    heading: what stands above the column.
    digits: digits after the point.
    best: 'lowest' or 'highest' value is the best one; '' is neither.
    meaning: one or two sentences.
  """

  key: str
  heading: str
  digits: int
  best: str
  meaning: str


COLUMNS = (
  Column(
    'frechet', 'Frechet', 2, 'lowest',
    "Squared Frechet distance to the target's held-out images, in the features "
    'of the network that the score is named after. The row of real '
    'images is the score of training images.',
  ),
  Column(
    'kid', 'KID', 3, 'lowest',
    'Kernel distance to the same images, in the same features. It is unbiased, '
    'so a value near 0 may be negative.',
  ),
  Column(
    'w1', 'W1', 2, 'lowest',
    'Exact Wasserstein-1 distance between at most 1,000 samples of each side, '
    'in the same features. The row of real images is the distance between two '
    'sets of them.',
  ),
  Column(
    'precision', 'precision', 3, 'highest',
    'Fraction of generated samples that lie close to real images.',
  ),
  Column(
    'recall', 'recall', 3, 'highest',
    'Fraction of real images that lie close to generated samples.',
  ),
  Column(
    'density', 'density', 3, 'highest',
    'Number of real images to which a generated sample is close, relative to '
    'the number for real images. It may exceed 1.',
  ),
  Column(
    'coverage', 'coverage', 3, 'highest',
    'Fraction of real images with a generated sample close to them.',
  ),
  Column(
    'class_tv', 'class TV', 3, 'lowest',
    'Total variation between the classes of generated and of real images; 0 '
    'means equal shares.',
  ),
  Column(
    'memorisation', 'memorisation', 3, '',
    'Median distance of generated samples to the nearest local sample, divided '
    'by that of held-out real images. Far below 1 it means copying.',
  ),
  Column(
    'copied', 'copied', 3, '',
    'Fraction of generated samples that are nearer to a local sample than 95 % '
    'of held-out real images are. It is 0.05 for new real images.',
  ),
  Column('parameters', 'parameters', 0, '', 'Number of weights.'),
  Column(
    'bytes', 'bytes', 0, 'lowest',
    'Size of the file for the device, with its header and without a critic.',
  ),
  Column('seconds', 'seconds', 0, '', 'Time of the training stage.'),
)  # fmt: skip

METHODS = {
  'node': 'The generator of one node, trained on the images of that node.',
  'barycenter': 'The Wasserstein-1 barycenter of the generators of the nodes.',
  'edge_only': 'Trained on the local images alone, from new weights.',
  'transfer': 'The generator of one node, fine-tuned on the local images.',
  'ensemble': 'The generator of one node, trained on the local images and on '
  'samples of all nodes together.',
  'ensemble_long': 'The same, with as many steps as barycenter and adaptation '
  'together.',
  'model_average': 'The mean of the weights of the node generators.',
  'all_nodes': 'The generators of all nodes together; each sample comes from '
  'one of them.',
  'adapted': 'The edge method: the barycenter, adapted to the local images.',
  'ternary': 'The adapted generator with ternary weights.',
  'real': 'Real training images, as the floor of the distances.',
}

MARKED = (
  'Values are means over seeds, with the standard deviation of the seeds where '
  'there are several. The best value of a column is bold with a star.'
)


class Cell(NamedTuple):
  """A mean, a deviation or '', and whether the mean is the column's best."""

  mean: str
  deviation: str = ''
  best: bool = False


class Row(NamedTuple):
  """A method and its cells."""

  name: str
  cells: list[Cell]


def table(rows: dict[str, dict[str, Any]]) -> tuple[list[Column], list[Row]]:
  """Makes the table of scores.

  Args:
    rows: scores by method, each a list over seeds.

  Returns:
    The columns that any method has a score for, and a row for every method and
    for real images.
  """
  shown = [c for c in COLUMNS if any(c.key in row for row in rows.values())]
  best = {c.key: _best(c, rows) for c in shown}
  made = [
    Row(
      name.replace('_', ' '),
      [_cell(row.get(c.key), c.digits, best[c.key]) for c in shown],
    )
    for name, row in rows.items()
  ]
  first = next(iter(rows.values()), None)
  if first is not None:
    real = {'frechet': first['real'], 'w1': first['w1_real']}
    cells = [_cell(real.get(c.key), c.digits, None) for c in shown]
    made.append(Row('real', cells))
  return shown, made


def meaning(method: str) -> str:
  """Says what a method is, '' for an unknown one."""
  name = method.replace(' ', '_')
  return METHODS.get('node' if name.startswith('node_') else name, '')


def finite(values: Any) -> list[float]:
  """Returns the numbers of a list; what is undefined is None or NaN."""
  values = [] if values is None else np.ravel(np.array(values, float))
  return [float(value) for value in values if np.isfinite(value)]


def _best(column: Column, rows: dict[str, dict[str, Any]]) -> float | None:
  """Returns the best mean; None where all are equal or none is better."""
  found = (finite(row.get(column.key)) for row in rows.values())
  means = [float(np.mean(values)) for values in found if values]
  if not column.best or len(set(means)) < 2:
    return None
  return min(means) if column.best == 'lowest' else max(means)


def _cell(values: Any, digits: int, best: float | None) -> Cell:
  values = finite(values)
  if not values:
    return Cell('')
  mean = float(np.mean(values))
  deviation = ''
  if digits and len(values) > 1:
    spread = float(np.std(values, ddof=1))
    deviation = f'{spread:,.{digits}f}' if spread else ''
  return Cell(f'{mean:,.{digits}f}', deviation, mean == best)
