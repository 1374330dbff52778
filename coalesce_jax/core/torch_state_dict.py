"""Reads the arrays of a PyTorch state dict without running code from the file.

Before version 1.6, `torch.save` wrote five pickles:

1. a magic number,
2. a protocol version,
3. the sizes of types,
4. a dictionary of tensors, each of which names its storage,
5. the keys of the storages.

The storages follow: each is its length in 8 bytes, then its elements.
"""

from collections.abc import Mapping
import dataclasses
import io
import math
import struct
from typing import Any

import numpy as np

from coalesce_jax.core import torch_pickle

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


@dataclasses.dataclass(frozen=True)
class Leaf:
  """The shape and dtype (`'<f4'` or `'<i8'`) that an array must have."""

  shape: tuple[int, ...]
  dtype: str = '<f4'


def read(data: bytes, expected: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
  """Reads all arrays of a state dict.

  Args:
    data: the bytes of the file.
    expected: the shape and dtype of every array by its name.

  Returns:
    The arrays by name, as read-only views of `data`.

  Raises:
    ValueError: the file is damaged, has an opcode or a name that no state dict
      needs, or holds values that are not finite; or its arrays are not the
      expected ones. The message is one line.
  """
  try:
    return _read(data, expected)
  except ValueError as error:
    text = (str(error).splitlines() or ['?'])[0]
    raise ValueError(f'state dict: {text:.200}') from None
  # A damaged pickle can raise any error: an empty stack, a missing mark, a
  # value of another type.
  except Exception as error:
    raise ValueError(f'state dict: damaged ({error!r:.100})') from None


def _read(data: bytes, expected: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
  stream = io.BytesIO(data)
  head = [torch_pickle.interpret(stream) for _ in range(2)]
  if not all(type(n) is int for n in head) or head != [MAGIC, PROTOCOL]:
    raise ValueError('not a file of torch.save before version 1.6')
  system, tensors, keys = (torch_pickle.interpret(stream) for _ in range(3))
  if not isinstance(system, dict) or system.get('little_endian') is not True:
    raise ValueError('not written on a little-endian machine')
  if not isinstance(tensors, dict):
    raise ValueError('holds no dictionary')
  if tensors.keys() != expected.keys():
    name = min(tensors.keys() ^ expected.keys())
    raise ValueError(
      f'{name!r:.80} is {"missing" if name in expected else "not expected"}'
    )
  for name, leaf in expected.items():
    _check(name, tensors[name], leaf)
  starts = _starts(data, stream.tell(), tensors, keys)
  arrays = {
    name: _view(name, data, starts[tensor.storage.key], tensor)
    for name, tensor in tensors.items()
  }
  for name, array in arrays.items():
    if not np.all(np.isfinite(array)):
      raise ValueError(f'{name!r} is not all finite')
  return arrays


def _check(name: str, tensor: Any, leaf: Leaf) -> None:
  """Raises ValueError unless the tensor has the expected shape and dtype."""
  if not isinstance(tensor, torch_pickle.Tensor):
    raise ValueError(f'{name!r} is no tensor')
  if tensor.shape != leaf.shape or tensor.storage.dtype != leaf.dtype:
    raise ValueError(
      f'{name!r} is {tensor.storage.dtype} {tensor.shape}, expected '
      f'{np.dtype(leaf.dtype)} {leaf.shape}'
    )
  if tensor.offset + math.prod(tensor.shape) > tensor.storage.count:
    raise ValueError(f'{name!r} reaches beyond its storage')


def _starts(
  data: bytes,
  position: int,
  tensors: Mapping[str, torch_pickle.Tensor],
  keys: Any,
) -> dict[str, int]:
  """Returns the offset of each storage's elements, by key.

  The storages must fill the rest of the file.
  """
  storages: dict[str, torch_pickle.Storage] = {}
  for tensor in tensors.values():
    storage = tensor.storage
    if storages.setdefault(storage.key, storage) != storage:
      raise ValueError(f'storage {storage.key!r:.80} is described twice')
  if (
    not isinstance(keys, list)
    or not all(isinstance(key, str) for key in keys)
    or sorted(keys) != sorted(storages)
  ):
    raise ValueError('the keys are not those of the storages')
  starts = {}
  for key in keys:
    storage = storages[key]
    if position + 8 > len(data):
      raise ValueError('ends before its storages do')
    (count,) = struct.unpack_from('<q', data, position)
    if count != storage.count:
      raise ValueError(
        f'storage {key!r:.80} has {count} elements, described as '
        f'{storage.count}'
      )
    starts[key] = position + 8
    position += 8 + count * storage.dtype.itemsize
  if position != len(data):
    raise ValueError(f'storages end at {position} of {len(data)} bytes')
  return starts


def _view(
  name: str, data: bytes, start: int, tensor: torch_pickle.Tensor
) -> np.ndarray:
  """Returns the array; its elements must be contiguous in some axis order."""
  # The stride of an axis with one element has no meaning.
  axes = sorted(
    range(len(tensor.shape)),
    key=lambda a: (tensor.shape[a] == 1, -tensor.strides[a]),
  )
  step = 1
  for a in reversed(axes):
    if tensor.shape[a] != 1 and tensor.strides[a] != step:
      raise ValueError(f'{name!r} is not dense: strides {tensor.strides}')
    step *= tensor.shape[a]
  dtype = tensor.storage.dtype
  flat = np.frombuffer(
    data, dtype, step, start + tensor.offset * dtype.itemsize
  )
  ordered = flat.reshape([tensor.shape[a] for a in axes])
  return ordered.transpose(np.argsort(axes))
