"""IDX files, the format of MNIST, plain or gzip, read within bounds.

Format: bytes 0, 0, type (8 is uint8), rank, then one big-endian uint32 a
dimension, then the values: as many as the product of the dimensions.
"""

import gzip
import math
import os
import pathlib
import struct
from typing import BinaryIO
import zlib

import numpy as np

MAX_BYTES = 1 << 31
_BLOCK = 1 << 20


def read(
  path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> np.ndarray:
  """Reads an IDX file of unsigned bytes.

  Args:
    path: a file, gzip where its first bytes say so.
    max_bytes: largest payload that is accepted. Files are read in blocks, one
      byte beyond what the header says at most, so that neither a header nor a
      compressed file can ask for memory that its bytes do not fill.

  Returns:
    uint8 array of the header's shape.

  Raises:
    ValueError: not such a file, empty, too large, or its size is not the
      header's.
  """
  path = pathlib.Path(path)
  try:
    with open(path, 'rb') as raw:
      zipped = raw.read(2) == b'\x1f\x8b'
      raw.seek(0)
      if not zipped:
        return _read(raw, path, max_bytes)
      with gzip.open(raw) as file:
        return _read(file, path, max_bytes)
  except (EOFError, OSError, zlib.error) as error:
    raise ValueError(f'{path}: damaged ({error})') from None


def _read(
  file: BinaryIO | gzip.GzipFile, path: pathlib.Path, max_bytes: int
) -> np.ndarray:
  head = file.read(4)
  if len(head) < 4 or head[:3] != b'\x00\x00\x08' or not 1 <= head[3] <= 4:
    raise ValueError(f'{path}: not an IDX file of unsigned bytes')
  sizes = file.read(4 * head[3])
  if len(sizes) < 4 * head[3]:
    raise ValueError(f'{path}: truncated header')
  shape = struct.unpack(f'>{head[3]}I', sizes)
  count = math.prod(shape)
  if count > max_bytes:
    raise ValueError(f'{path}: {count} bytes of {shape} exceed {max_bytes}')
  if count == 0:
    raise ValueError(f'{path}: holds no values, its shape is {shape}')
  data = bytearray()
  while len(data) <= count:
    block = file.read(min(_BLOCK, count + 1 - len(data)))
    if not block:
      break
    data += block
  if len(data) != count:
    raise ValueError(
      f'{path}: header says {count} bytes of {shape}, the file has '
      f'{"more" if len(data) > count else len(data)}'
    )
  return np.frombuffer(data, np.uint8).reshape(shape)
