"""Encodings: how a bundle holds leaves in fewer bits than float32.

`Spec.encodings` maps the name of an encoding to its description. A description
consists of plain JSON values and names the leaves that the encoding covers. A
leaf that no encoding covers is one float32 tensor.

The description in a file is untrusted. `Encoding.check` bounds it. The types
and shapes of all tensors then follow from the description and the shapes of the
leaves, so a reader compares them before it takes memory for tensors.

A new encoding is one `Encoding` and one entry of `TABLE`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from coalesce_jax.models import header
from coalesce_jax.models import packing as packing_lib
from coalesce_jax.models import untrusted
from coalesce_jax.transforms import ternary as ternary_lib

Description = Mapping[str, Any]
Shape = header.Shape
Tensor = header.Tensor


class Encoding(NamedTuple):
  """Maps leaves to the tensors that hold them in a file, by pure functions.

  The functions give the tensors of a leaf by suffix. In the file, the name of a
  tensor is the name of its leaf followed by the suffix.

  Attributes:
    check: ``untrusted mapping -> description``. The result holds bounded plain
      values. Raises ValueError with one line.
    tensors: ``(description, shape of the leaf) -> {suffix: Tensor}``.
    encode: ``(description, leaf) -> {suffix: array}``; the leaf is a finite
      float32 array. Raises ValueError for values that the tensors cannot hold.
    decode: ``(description, shape of the leaf, {suffix: array}) -> leaf``, as
      float32. Raises ValueError for tensors that `encode` never gives.
    leaves: ``description -> names`` of the leaves that are covered.
    file_keys: keys of the description that only the file holds. A spec lacks
      them, and `bundle.save` sets them from its arguments.
  """

  check: Callable[[Mapping[str, Any]], dict[str, Any]]
  tensors: Callable[[Description, Shape], dict[str, Tensor]]
  encode: Callable[[Description, np.ndarray], dict[str, np.ndarray]]
  decode: Callable[[Description, Shape, dict[str, np.ndarray]], np.ndarray]
  leaves: Callable[[Description], Sequence[str]] = lambda d: d['leaves']
  file_keys: tuple[str, ...] = ()


Table = Mapping[str, Encoding]


class Leaf(NamedTuple):
  """Pairs a leaf of a network with the encoding that covers it.

  Attributes:
    shape: shape of the leaf in the network.
    encoding: `DENSE` where no encoding of the table covers the leaf.
    description: checked description of the encoding.
  """

  shape: Shape
  encoding: Encoding
  description: Description


def checked(
  descriptions: Mapping[str, Any],
  table: Table,
  file_values: Mapping[str, Any] = {},
) -> dict[str, dict[str, Any]]:
  """Checks the description of every encoding.

  Args:
    descriptions: untrusted description by name of the encoding.
    table: the encodings that are known.
    file_values: values by key. Each one is set in the descriptions of the
      encodings that have its key among their `file_keys`.

  Returns:
    Descriptions that hold bounded plain values, by name of the encoding.

  Raises:
    ValueError: unknown encoding, or a description that its encoding refuses.
  """
  found = {}
  for name, given in descriptions.items():
    if name not in table:
      raise ValueError(
        f'unknown encoding {name[:40]!r}, known are {sorted(table)}'
      )
    if not isinstance(given, Mapping):
      raise ValueError(f'encoding {name!r} has no description')
    known = table[name].file_keys
    chosen = {k: v for k, v in file_values.items() if k in known}
    try:
      found[name] = table[name].check({**given, **chosen})
    except (KeyError, TypeError, AttributeError) as error:
      raise ValueError(
        f'encoding {name!r}: incomplete description ({error})'
      ) from None
  return found


def without_file_keys(
  descriptions: Mapping[str, Description], table: Table
) -> dict[str, dict[str, Any]]:
  """Leaves out the `file_keys` of checked descriptions, as a spec does."""
  return {
    name: {k: v for k, v in each.items() if k not in table[name].file_keys}
    for name, each in descriptions.items()
  }


def cover(
  shapes: Mapping[str, Shape],
  descriptions: Mapping[str, Description],
  table: Table,
) -> dict[str, Leaf]:
  """Finds the encoding of every leaf.

  Args:
    shapes: shape of each leaf of the network, by name.
    descriptions: checked descriptions, by name of the encoding.
    table: the encodings that are known.

  Raises:
    ValueError: an encoding covers a leaf that the network lacks, or that
      another one covers.
  """
  found = {name: Leaf(shape, DENSE, {}) for name, shape in shapes.items()}
  for name, described in descriptions.items():
    for leaf in table[name].leaves(described):
      if leaf not in found:
        raise ValueError(f'{name} leaf {leaf[:80]!r} is not in the network')
      if found[leaf].encoding is not DENSE:
        raise ValueError(f'leaf {leaf!r} has a second encoding, {name!r}')
      found[leaf] = Leaf(found[leaf].shape, table[name], described)
  return found


def tensors(leaf: Leaf) -> dict[str, Tensor]:
  """Returns the types and shapes of the tensors of one leaf, by suffix."""
  return leaf.encoding.tensors(leaf.description, leaf.shape)


def encode(leaf: Leaf, value: np.ndarray) -> dict[str, np.ndarray]:
  """Encodes one leaf.

  Args:
    leaf: the leaf.
    value: its value, float32 of the leaf's shape.

  Returns:
    Arrays by suffix, of the types and shapes of `tensors`.

  Raises:
    ValueError: the value is not finite, the encoding cannot hold it, or the
      encoding gives tensors other than those of `tensors`.
  """
  if not np.all(np.isfinite(value)):
    raise ValueError('not finite')
  # An overflow is an error below instead of a warning here.
  with np.errstate(over='ignore'):
    found = leaf.encoding.encode(leaf.description, value)
  wanted = tensors(leaf)
  if found.keys() != wanted.keys():
    raise ValueError(f'its encoding gives tensors {sorted(found)}')
  for suffix, (type, shapes) in wanted.items():
    array = found[suffix]
    if array.dtype != header.TYPES[type] or array.shape not in shapes:
      raise ValueError(f'its encoding gives {array.dtype} {array.shape}')
    if not np.all(np.isfinite(array)):
      raise ValueError('not finite in its encoding')
  return found


def decode(leaf: Leaf, held: dict[str, np.ndarray]) -> np.ndarray:
  """Decodes one leaf.

  Args:
    leaf: the leaf.
    held: untrusted arrays by suffix, of the types and shapes of `tensors`.

  Returns:
    The value of the leaf, float32 of the leaf's shape.

  Raises:
    ValueError: the encoding refuses the arrays, or the value is not finite.
  """
  if not all(np.all(np.isfinite(array)) for array in held.values()):
    raise ValueError('holds values that are not finite')
  with np.errstate(over='ignore'):
    value = leaf.encoding.decode(leaf.description, leaf.shape, held)
  if value.dtype != np.float32 or value.shape != leaf.shape:
    raise ValueError(f'decodes to {value.dtype} {value.shape}')
  if not np.all(np.isfinite(value)):
    raise ValueError('decodes to values that are not finite')
  return value


DENSE = Encoding(
  check=dict,
  leaves=lambda described: (),
  tensors=lambda described, shape: {'': Tensor('F32', [shape])},
  encode=lambda described, value: {'': value},
  decode=lambda described, shape, held: held[''],
)


def _check_ternary(given: Mapping[str, Any]) -> dict[str, Any]:
  return {
    'scheme': untrusted.one_of(
      'ternary scheme', given['scheme'], ternary_lib.SCHEMES
    ),
    'granularity': untrusted.one_of(
      'granularity', given['granularity'], ternary_lib.GRANULARITIES
    ),
    'leaves': untrusted.names(given['leaves']),
    # Files from before 'trits' do not name their packing.
    'packing': untrusted.one_of(
      'packing', given.get('packing', '2bit'), packing_lib.PACKINGS
    ),
  }


def _ternary_tensors(described: Description, shape: Shape) -> dict[str, Tensor]:
  groups = packing_lib.group_count(shape, described['granularity'])
  size = packing_lib.code_bytes(shape, described['packing'])
  return {
    '.codes': Tensor('U8', [(size,)]),
    '.scales': Tensor('F32', [(1, groups), (2, groups)]),
  }


def _encode_ternary(
  described: Description, value: np.ndarray
) -> dict[str, np.ndarray]:
  packed = packing_lib.pack(
    value, described['granularity'], described['packing']
  )
  return {'.codes': packed.codes, '.scales': packed.scales}


def _decode_ternary(
  described: Description, shape: Shape, held: dict[str, np.ndarray]
) -> np.ndarray:
  packed = packing_lib.Packed(held['.codes'], held['.scales'])
  if np.any(packed.scales < 0.0):
    raise ValueError('a scale is negative')
  return packing_lib.unpack(
    packed, shape, described['granularity'], described['packing']
  )


TABLE: Table = {
  'ternary': Encoding(
    check=_check_ternary,
    tensors=_ternary_tensors,
    encode=_encode_ternary,
    decode=_decode_ternary,
    file_keys=('packing',),
  ),
}
