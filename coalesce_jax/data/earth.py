"""Cuts aligned maps of the Earth into tiles: satellite image to map.

All maps are equirectangular. They are resized to 4096 x 2048 pixels and cut
into tiles of 64 pixels. Only tiles of which more than a fifth is land are used;
land is where the elevation is above zero. Blocks of 4 x 4 tiles lie on one
side of the split, since neighbouring tiles are alike.

Shapes: N tiles, S side; uint8 `[N, S, S, 3]`, 0 to 255.
"""

import pathlib

import numpy as np
from PIL import Image

from coalesce_jax.data import decoding
from coalesce_jax.data import emoji
from coalesce_jax.data import pair_packages

WIDTH, HEIGHT, TILE, BLOCK = 4096, 2048, 64, 4
MIN_LAND = 0.2
SATELLITE, ELEVATION = 'earth-blue-marble.jpg', 'earth-topology.png'
MAPS = {
  'earth_relief': 'earth-day.jpg',
  'earth_water': 'earth-water.png',
  'earth_elevation': ELEVATION,
}


def tiles(task: str, side: int, data_dir: str | None = None) -> emoji.Named:
  """Makes pairs of a satellite image and a map of the same place.

  Args:
    task: one of `MAPS`.
    side: S; the tiles are resized from 64 pixels.
    data_dir: a folder that is searched first for the package.

  Raises:
    ValueError: the package is missing, or a file is damaged.
  """
  folder = pair_packages.find('three-globe', data_dir)
  elevation = decoding.decode(folder / ELEVATION, None)[..., :1]
  land = land_of_tiles(elevation)
  rows, columns = np.nonzero(land > MIN_LAND)
  condition = _cut(folder / SATELLITE, rows, columns, side)
  target = _cut(folder / MAPS[task], rows, columns, side)
  names = [f'r{r:02d}c{c:02d}' for r, c in zip(rows, columns, strict=True)]
  groups = [
    f'block r{r // BLOCK:02d}c{c // BLOCK:02d}'
    for r, c in zip(rows, columns, strict=True)
  ]
  return emoji.Named(condition, target, names, groups)


def land_of_tiles(elevation: np.ndarray) -> np.ndarray:
  """Returns the fraction of land of each tile, `[32, 64]`.

  Args:
    elevation: levels `[H, W, 1]` of the whole Earth, 0 for the sea. H and W are
      multiples of 32 and 64.
  """
  lines, columns = HEIGHT // TILE, WIDTH // TILE
  height, width = elevation.shape[:2]
  cells = (elevation[..., 0] > 0).reshape(
    lines, height // lines, columns, width // columns
  )
  return cells.mean((1, 3))


def _cut(
  path: pathlib.Path, rows: np.ndarray, columns: np.ndarray, side: int
) -> np.ndarray:
  whole = Image.fromarray(decoding.decode(path, (HEIGHT, WIDTH, 3)))
  cut = []
  for row, column in zip(rows, columns, strict=True):
    left, top = int(column) * TILE, int(row) * TILE
    tile = whole.crop((left, top, left + TILE, top + TILE))
    if side != TILE:
      tile = tile.resize((side, side), Image.Resampling.BICUBIC)
    cut.append(np.asarray(tile))
  return np.stack(cut)
