"""Arrays of a PyTorch state dict, read without running any of it.

What `torch.save` wrote before version 1.6 is five pickles: a magic number, a
protocol version, sizes of types, a dictionary of tensors that name their
storages, and the storages' keys; then each storage, its length in 8 bytes and
its elements.
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
  """What an array must be: shape, and dtype `'<f4'` or `'<i8'`."""

  shape: tuple[int, ...]
  dtype: str = '<f4'


def read(data: bytes, expected: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
  """Reads all arrays.

  Args:
    data: the file.
    expected: every name and what its array must be.

  Returns:
    The arrays, read-only views of `data`.

  Raises:
    ValueError: one line that says what is wrong: an opcode or a name that no
      state dict needs, other arrays than expected, sizes that do not agree, or
      values that are not finite.
  """
  try:
    return _read(data, expected)
  except ValueError as error:
    text = (str(error).splitlines() or ['?'])[0]
    raise ValueError(f'state dict: {text:.200}') from None
  # A stack that is empty, a mark that is missing, a value of another kind.
  except Exception as error:
    raise ValueError(f'state dict: damaged ({error!r:.100})') from None


def _read(data: bytes, expected: Mapping[str, Leaf]) -> dict[str, np.ndarray]:
  stream = io.BytesIO(data)
  head = [torch_pickle.interpret(stream) for _ in range(2)]
  if not all(type(n) is int for n in head) or head != [MAGIC, PROTOCOL]:
    raise ValueError('not a file of torch.save before version 1.6')
  system, tensors, keys = (torch_pickle.interpret(stream) for _ in range(3))
  if not isinstance(system, dict) or system.get('little_endian') is not True:
    raise ValueError('not of a little-endian machine')
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
  """Raises ValueError unless the tensor is what is expected."""
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
  """Where each storage's elements start; all bytes must be of storages."""
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
  """The array: a dense one, in any order of its axes."""
  # Strides of axes of one element mean nothing.
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
