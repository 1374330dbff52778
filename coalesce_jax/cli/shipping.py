"""What the package ships: zoo."""

from typing import Any

from coalesce_jax.cli import boundary
from coalesce_jax.cli.command import Stop
from coalesce_jax.cli.command import Values
from coalesce_jax.models import zoo as zoo_lib

_HEAD = ('bundle', 'images', 'classes', 'bytes', 'Frechet', 'recall')


def zoo(values: Values, stop: Stop) -> dict[str, Any]:
  """Lists the bundles of the zoo as a table on stderr and as JSON."""
  del values, stop
  known = {f'{zoo_lib.PREFIX}{k}': v for k, v in zoo_lib.index().items()}
  table = [_HEAD]
  for name, entry in known.items():
    scores = entry['scores']
    table.append(
      (
        name,
        'x'.join(map(str, entry['image_shape'])),
        entry['classes'],
        f'{entry["bytes"]:,}',
        f'{scores["frechet"]:.1f}',
        f'{scores["recall"]:.2f}',
      )
    )
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  for row in table:
    cells = (cell.ljust(n) for cell, n in zip(row, widths, strict=True))
    boundary.say('  '.join(cells).rstrip())
  boundary.say('Scores are measured against all ten classes of the data set.')
  return {'zoo': known}
