"""Keeps images that take long to make in the user cache.

A file holds a checksum of its own contents. If it does not match, the images
are made again.

Shapes: N images, S side; uint8 `[N, S, S, 3]`, 0 to 255.
"""

from collections.abc import Callable
import json
import pathlib

from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.core import user_cache
from coalesce_jax.data import arrays

FOLDER = 'pairs'
MAX_BYTES = 1 << 31

Made = tuple[np.ndarray, list[str]]


def kept(key: str, side: int, make: Callable[[], Made]) -> Made:
  """Returns images from the user cache, or makes them and keeps them.

  Args:
    key: what the images are, such as 'openmoji-17.0.0-color'; it is part of the
      name of the file.
    side: S.
    make: returns images, uint8 `[N, S, S, 3]`, and their N names.

  Returns:
    What `make` returns.

  Raises:
    ValueError: `make` raises it, or the cache cannot be written to.
  """
  path = user_cache.folder() / FOLDER / f'{key}-{side}.npz'
  found = _read(path, side)
  if found is not None:
    return found
  logging.info('%s: made once at %d pixels, and kept in %s', key, side, path)
  files.check_writable(path.parent)
  images, names = make()
  listed = json.dumps(names).encode()
  files.write_bytes(
    path,
    replacing.npz(
      images=images,
      names=np.frombuffer(listed, np.uint8),
      sha256=_digest(images, listed),
    ),
  )
  return images, names


def _read(path: pathlib.Path, side: int) -> Made | None:
  """Returns what is kept, or None if there is none or it is damaged."""
  if not path.is_file():
    return None
  try:
    found = arrays.entries(path, ('images', 'names', 'sha256'), MAX_BYTES)
    images, listed = found['images'], found['names'].tobytes()
    names = json.loads(listed)
    good = np.array_equal(found['sha256'], _digest(images, listed))
    if good and images.shape == (len(names), side, side, 3):
      return images, names
  except (ValueError, KeyError, RecursionError):
    pass
  logging.warning('%s: damaged; made again', path)
  return None


def _digest(images: np.ndarray, names: bytes) -> np.ndarray:
  text = files.digest([images.tobytes(), names])
  return np.frombuffer(bytes.fromhex(text), np.uint8)
