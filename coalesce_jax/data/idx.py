"""IDX files, the format of MNIST, plain or gzip, read within bounds.

Format: bytes 0, 0, type (8 is uint8), rank, then one big-endian uint32 a
dimension, then the values; http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import os
import pathlib
import struct
import zlib

import numpy as np

MAX_BYTES = 1 << 31


def read(
  path: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> np.ndarray:
  """Reads an IDX file of unsigned bytes.

  Args:
    path: a file, gzip where its first bytes say so.
    max_bytes: largest payload that is accepted; compressed files are streamed
      so that no more than this is ever held.

  Returns:
    uint8 array of the header's shape.

  Raises:
    ValueError: not such a file, too large, or its size is not the header's.
  """
  path = pathlib.Path(path)
  with open(path, 'rb') as raw:
    zipped = raw.read(2) == b'\x1f\x8b'
  opener = gzip.open if zipped else open
  try:
    with opener(path, 'rb') as file:
      head = file.read(4)
      if len(head) < 4 or head[:3] != b'\x00\x00\x08' or not 1 <= head[3] <= 4:
        raise ValueError(f'{path}: not an IDX file of unsigned bytes')
      sizes = file.read(4 * head[3])
      if len(sizes) < 4 * head[3]:
        raise ValueError(f'{path}: truncated header')
      shape = struct.unpack(f'>{head[3]}I', sizes)
      count = math.prod(shape)
      if count > max_bytes:
        raise ValueError(f'{path}: {count} bytes exceed {max_bytes}')
      data = file.read(count + 1)
  except (EOFError, OSError, zlib.error) as error:
    raise ValueError(f'{path}: damaged ({error})') from None
  if len(data) != count:
    raise ValueError(
      f'{path}: header says {count} bytes of {shape}, the file has '
      f'{"more" if len(data) > count else len(data)}'
    )
  return np.frombuffer(data, np.uint8).reshape(shape)
