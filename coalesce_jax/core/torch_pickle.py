"""Interprets the pickles of a PyTorch state dict without running any code.

A pickle is a program. This module interprets the few opcodes that a state dict
needs and refuses all others. It compares the names of functions with the few
that a state dict names, and it neither imports nor calls them.
"""

from collections.abc import Sequence
import dataclasses
import io
import pickletools
from typing import Any

import numpy as np

MAX_OPCODES = 100_000

_DICT = 'collections OrderedDict'
_TENSOR = 'torch._utils _rebuild_tensor_v2'
_DTYPES: dict[str, np.dtype] = {
  'torch FloatStorage': np.dtype('<f4'),
  'torch LongStorage': np.dtype('<i8'),
}
_VALUES = {
  'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINUNICODE',
  'NONE', 'NEWTRUE', 'NEWFALSE',
}  # fmt: skip
_CONSTANTS = {'NEWTRUE': True, 'NEWFALSE': False}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_MARK = object()


@dataclasses.dataclass(frozen=True)
class _Global:
  name: str


@dataclasses.dataclass(frozen=True)
class Storage:
  """A block of `count` elements of one dtype, named by its key."""

  dtype: np.dtype
  key: str
  count: int


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A view of a storage; offset and strides count elements."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def interpret(stream: io.BytesIO) -> Any:
  """Returns the value of the next pickle of a stream.

  Returns:
    Numbers, strings, tuples, lists, dictionaries, `Storage` and `Tensor`,
    nested in any way. Only the fields of `Storage` and `Tensor` are checked.

  Raises:
    ValueError: the pickle has an opcode or a name that no state dict needs, or
      it is damaged. A missing operand can raise other errors.
  """
  stack: list[Any] = []
  memo: dict[int, Any] = {}
  argument: Any

  def since_mark() -> list[Any]:
    start = len(stack) - 1
    while stack[start] is not _MARK:
      start -= 1
      if start < 0:
        raise ValueError('a mark is missing')
    items = stack[start + 1 :]
    del stack[start:]
    return items

  for count, (op, argument, _) in enumerate(pickletools.genops(stream)):
    if count >= MAX_OPCODES:
      raise ValueError(f'more than {MAX_OPCODES} opcodes')
    name = op.name
    if name in _VALUES:
      stack.append(_CONSTANTS.get(name, argument))
    elif name in ('BINPUT', 'LONG_BINPUT'):
      memo[argument] = stack[-1]
    elif name in ('BINGET', 'LONG_BINGET'):
      stack.append(memo[argument])
    elif name == 'MARK':
      stack.append(_MARK)
    elif name == 'EMPTY_DICT':
      stack.append({})
    elif name == 'EMPTY_LIST':
      stack.append([])
    elif name == 'EMPTY_TUPLE':
      stack.append(())
    elif name == 'TUPLE':
      stack.append(tuple(since_mark()))
    elif name in _TUPLES:
      stack[-_TUPLES[name] :] = [tuple(_top(stack, _TUPLES[name]))]
    elif name == 'SETITEM':
      items = _top(stack, 2)
      del stack[-2:]
      _set(stack[-1], items)
    elif name == 'SETITEMS':
      items = since_mark()
      _set(stack[-1], items)
    elif name == 'APPENDS':
      items = since_mark()
      if not isinstance(stack[-1], list):
        raise ValueError('appends to a value that is no list')
      stack[-1].extend(items)
    elif name == 'GLOBAL':
      if argument not in (_DICT, _TENSOR, *_DTYPES):
        raise ValueError(f'refuses the name {argument!r:.80}')
      stack.append(_Global(argument))
    elif name == 'BINPERSID':
      stack[-1] = _storage(stack[-1])
    elif name == 'REDUCE':
      function, arguments = _top(stack, 2)
      stack[-2:] = [_reduced(function, arguments)]
    elif name == 'BUILD':
      # A state dict carries the versions of its modules as an attribute. They
      # are not needed.
      target, state = _top(stack, 2)
      if not (isinstance(target, dict) and isinstance(state, dict)):
        raise ValueError('sets the state of a value that is no dictionary')
      del stack[-1]
    elif name == 'STOP':
      (value,) = stack
      return value
    elif name != 'PROTO':
      raise ValueError(f'refuses the opcode {name}')
  raise ValueError('a pickle does not end')


def _top(stack: list[Any], count: int) -> list[Any]:
  items = stack[-count:]
  if len(items) < count or any(item is _MARK for item in items):
    raise ValueError('a value is missing')
  return items


def _set(target: Any, items: list[Any]) -> None:
  if not isinstance(target, dict) or len(items) % 2:
    raise ValueError('sets items of a value that is no dictionary')
  for name, value in zip(items[::2], items[1::2], strict=True):
    if not isinstance(name, str):
      raise ValueError('a key is no string')
    if name in target:
      raise ValueError(f'the key {name!r:.80} appears twice')
    target[name] = value


def _storage(identity: Any) -> Storage:
  if not isinstance(identity, tuple) or len(identity) != 6:
    raise ValueError('a storage is not described by six values')
  kind, dtype, key, place, count, view = identity
  if not (
    isinstance(kind, str)
    and kind == 'storage'
    and isinstance(dtype, _Global)
    and dtype.name in _DTYPES
    and isinstance(key, str)
    and isinstance(place, str)
    and _natural([count])
    and view is None
  ):
    raise ValueError('a storage is of a kind that is not read here')
  return Storage(_DTYPES[dtype.name], key, count)


def _reduced(function: Any, arguments: Any) -> Any:
  """Returns an empty dictionary or a tensor, the only calls allowed."""
  if not (isinstance(function, _Global) and isinstance(arguments, tuple)):
    raise ValueError('calls a value that is no function')
  if function.name == _DICT and not arguments:
    return {}
  if function.name != _TENSOR or len(arguments) != 6:
    raise ValueError(f'refuses {function.name!r} of {len(arguments)} arguments')
  storage, offset, shape, strides, _, _ = arguments
  if not (
    isinstance(storage, Storage)
    and _natural([offset])
    and isinstance(shape, tuple)
    and isinstance(strides, tuple)
    and len(shape) == len(strides) <= 8
    and _natural((*shape, *strides))
  ):
    raise ValueError('a tensor is of a kind that is not read here')
  return Tensor(storage, offset, shape, strides)


def _natural(values: Sequence[Any]) -> bool:
  return all(type(n) is int and 0 <= n < 1 << 48 for n in values)
