"""Defines what server and nodes send each other, and checks what arrives.

A message has named arrays and named values. What arrives is untrusted. Names,
types and shapes that an array claims are compared with those that are expected,
and so is the number of its bytes, before it takes any memory. Then its values
are checked to be finite. Nothing is unpickled.

The bytes of an array are those of NumPy's .npy format, so that other programs
of a federation can read them.
"""

from collections.abc import Callable, Mapping
import io
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types

# How the bytes of arrays and of files are marked.
NPY = 'numpy.ndarray'
FILE = 'safetensors'
# Name of the value that says how many images a node has.
EXAMPLES = 'num-examples'
MAX_EXAMPLES = 10_000_000
# Bytes of a header of NumPy, at most; it has 128 for the arrays of a network.
_MAX_HEADER = 1024


class Block(NamedTuple):
  """An array as bytes, with what it claims to be.

  Attributes:
    dtype: name of the type, such as 'float32'.
    shape: the shape.
    stype: how `data` are to be read, `NPY` or `FILE`.
    data: the bytes.
  """

  dtype: str
  shape: tuple[int, ...]
  stype: str
  data: bytes


class Content(NamedTuple):
  """What a message carries.

  Attributes:
    arrays: by name, each a `Block` or whatever has its attributes.
    values: numbers, texts, bytes, or lists of numbers, by name.
  """

  arrays: Mapping[str, Any]
  values: Mapping[str, Any]


# Answers a message of the server.
Handler = Callable[[Content], Content]


class Channel(NamedTuple):
  """How a server reaches its nodes.

  Attributes:
    online: returns the numbers of all nodes that are connected.
    ask: ``(kind, content by node, seconds) -> answer by node``. Waits at most
      so long. An answer is a `Content`, or a text that says why there is none.
      Nodes that did not answer in time have no entry.
    pause: waits for so many seconds.
  """

  online: Callable[[], list[int]]
  ask: Callable[
    [str, Mapping[int, Content], float], Mapping[int, Content | str]
  ]
  pause: Callable[[float], None]


def pack(tree: types.Params) -> dict[str, Block]:
  """Returns the leaves of a tree by their paths, as float32.

  Raises:
    ValueError: a leaf is not finite.
  """
  return {
    name: _block(name, leaf) for name, leaf in trees.flatten(tree).items()
  }


def _block(name: str, leaf: Any) -> Block:
  # A leaf without axes stays one, unlike in `np.ascontiguousarray`.
  array = np.array(leaf, '<f4', order='C')
  if not np.all(np.isfinite(array)):
    raise ValueError(f'{name}: not finite')
  file = io.BytesIO()
  np.save(file, array, allow_pickle=False)
  return Block('float32', array.shape, NPY, file.getvalue())


def unpack(arrays: Mapping[str, Any], like: types.Params) -> Any:
  """Returns the tree of untrusted arrays.

  Args:
    arrays: untrusted, by name; each has the attributes of a `Block`.
    like: a tree of arrays or shapes, which the arrays must fit. It takes no
      memory for them.

  Raises:
    ValueError: a name is missing or unknown, a type, a shape or a number of
      bytes is another, or a value is not finite. The message is one line.
  """
  shapes = {name: leaf.shape for name, leaf in trees.flatten(like).items()}
  missing, extra = set(shapes) - set(arrays), set(arrays) - set(shapes)
  if missing or extra:
    what = f'lacks {min(missing)!r}' if missing else f'has {min(extra)[:80]!r}'
    raise ValueError(f'{what}, unlike its network')
  # All claims first: nothing is read of a message that is wrong anywhere.
  for name, shape in shapes.items():
    _check_claim(name, arrays[name], shape)
  leaves = {
    name: _values(name, arrays[name].data, shape)
    for name, shape in shapes.items()
  }
  return jax.tree.unflatten(jax.tree.structure(like), leaves.values())


def _check_claim(name: str, given: Any, shape: tuple[int, ...]) -> None:
  if given.stype != NPY or given.dtype != 'float32':
    raise ValueError(
      f'{name!r} is {str(given.stype)[:20]} of {str(given.dtype)[:20]}, '
      f'not {NPY} of float32'
    )
  if tuple(given.shape) != shape:
    raise ValueError(
      f'{name!r} is {str(tuple(given.shape))[:60]}, its network has {shape}'
    )
  size, most = len(given.data), 4 * math.prod(shape) + _MAX_HEADER
  if size > most:
    raise ValueError(f'{name!r} has {size} bytes, more than {most}')


def _values(name: str, data: bytes, shape: tuple[int, ...]) -> jax.Array:
  """Reads an array whose header and length must be those of `shape`."""
  file = io.BytesIO(data)
  try:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
      raise ValueError(f'version {version}')
    found = np.lib.format.read_array_header_1_0(file, _MAX_HEADER)
  # A damaged header raises errors of several types.
  except Exception as error:
    line = next(iter(str(error).splitlines()), 'damaged')[:80]
    raise ValueError(f'{name!r} is no array of NumPy ({line})') from None
  if found != (shape, False, np.dtype('<f4')):
    raise ValueError(
      f'{name!r} has bytes of {str(found[2])[:20]} {str(found[0])[:60]}, '
      f'its network has float32 {shape}'
    )
  start = file.tell()
  if len(data) - start != 4 * math.prod(shape):
    raise ValueError(f'{name!r} has {len(data) - start} bytes for {shape}')
  array = np.frombuffer(data, '<f4', offset=start).reshape(shape)
  if not np.all(np.isfinite(array)):
    raise ValueError(f'{name!r} holds values that are not finite')
  return jnp.asarray(array)


def file_block(data: bytes) -> Block:
  """Returns a block of the bytes of a file."""
  return Block('uint8', (len(data),), FILE, data)


def file_bytes(arrays: Mapping[str, Any], name: str, most: int) -> bytes:
  """Returns the bytes of an untrusted file; its content is not checked.

  Args:
    arrays: untrusted, by name.
    name: the only name that there may be.
    most: bytes that it may have.

  Raises:
    ValueError: it is missing, too large, or there is anything else.
  """
  if set(arrays) != {name}:
    raise ValueError(f'has {str(sorted(arrays))[:80]}, not only {name!r}')
  given = arrays[name]
  if given.stype != FILE or given.dtype != 'uint8':
    raise ValueError(
      f'{name!r} is {str(given.stype)[:20]} of {str(given.dtype)[:20]}, '
      f'not {FILE} of uint8'
    )
  size = len(given.data)
  if size > most:
    raise ValueError(f'{name!r} has {size} bytes, more than {most}')
  if tuple(given.shape) != (size,):
    claim = str(tuple(given.shape))[:60]
    raise ValueError(f'{name!r} claims {claim} and has {size} bytes')
  return given.data


def number(
  values: Mapping[str, Any], name: str, low: float, high: float
) -> float:
  """Returns an untrusted number.

  Args:
    values: untrusted, by name.
    name: name of the number.
    low: least value.
    high: greatest value.

  Raises:
    ValueError: it is missing, no number, or out of bounds.
  """
  value: Any = values.get(name)
  good = isinstance(value, int | float) and not isinstance(value, bool)
  if not good or not low <= value <= high:
    raise ValueError(
      f'{name} {str(value)[:40]!r} is no number in [{low:g}, {high:g}]'
    )
  return value


def whole(values: Mapping[str, Any], name: str, low: int, high: int) -> int:
  """Returns an untrusted whole number; arguments and errors as of `number`."""
  value = number(values, name, low, high)
  if value != int(value):
    raise ValueError(f'{name} {value} is no whole number')
  return int(value)
