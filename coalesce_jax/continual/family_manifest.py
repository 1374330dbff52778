"""Manifests of families: what the header of an untrusted file may promise.

The manifest has an entry for each member: its name, the manifest of a bundle of
its generator, the number of free filters of each factorised leaf, and digests.
Names, types, shapes and places of all tensors follow from it. Nothing here
takes memory for tensors.

The tensors of a member are named '<index>/<leaf>'. Those of its free filters,
which later members need, come before the others. Members follow each other, so
that a new member leaves all bytes before it where they are.

Shapes: F filters of a layer, u free ones, N filters of the bank.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

from coalesce_jax.continual import tasks
from coalesce_jax.models import encodings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import header as header_lib
from coalesce_jax.models import manifest as manifest_lib
from coalesce_jax.models import untrusted
from coalesce_jax.transforms import piggyback

VERSION = 1
MAX_MEMBERS = 256
_FIELDS = {'bank_sha256', 'free', 'generator', 'name', 'own_sha256'}

Shape = header_lib.Shape


class Section(NamedTuple):
  """Consecutive tensors of a file.

  Attributes:
    places: the place of each tensor by its name, in order of the file.
    begin: where the first one starts in the payload.
    end: where the last one ends.
  """

  places: dict[str, header_lib.Place]
  begin: int
  end: int


class Contents(NamedTuple):
  """What a file holds of a member.

  Attributes:
    name: its name.
    spec: spec of its network.
    leaves: shapes of the parameters of its network, by name.
    free: u of each factorised leaf, by name.
    bank: its free filters.
    own: its other tensors.
    entry: its entry of the manifest.
  """

  name: str
  spec: generator_lib.Spec
  leaves: dict[str, Shape]
  free: dict[str, int]
  bank: Section
  own: Section
  entry: Mapping[str, Any]


def parse(manifest: Mapping[str, Any]) -> list[Contents]:
  """Checks an untrusted manifest.

  Raises:
    ValueError: it promises what cannot be, or too much.
  """
  version = manifest.get(manifest_lib.FAMILY)
  if version is None and 'format_version' in manifest:
    raise ValueError('a bundle of one generator, not a family')
  if version != VERSION:
    raise ValueError(
      f'family version {str(version)[:20]}, this program reads {VERSION}'
    )
  try:
    entries = manifest['members']
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_MEMBERS:
      raise ValueError(f'not 1 to {MAX_MEMBERS} members')
    found: list[Contents] = []
    for entry in entries:
      found.append(member(entry, found))
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(f'manifest is incomplete ({error})') from None
  return found


def member(entry: Mapping[str, Any], before: Sequence[Contents]) -> Contents:
  """Derives what a file holds of a member.

  Args:
    entry: its untrusted entry of the manifest.
    before: the members before it.

  Raises:
    ValueError: the entry promises what cannot be, or does not fit the others.
  """
  if set(entry) != _FIELDS:
    raise ValueError(f'a member has the fields {str(sorted(entry))[:200]}')
  name = tasks.named(entry['name'])
  if name in [other.name for other in before]:
    raise ValueError(f'member {name!r} occurs twice')
  for field in ('bank_sha256', 'own_sha256'):
    untrusted.text(entry[field])
  held = manifest_lib.parse(entry['generator'], encodings.TABLE)
  if held.critic or held.descriptions:
    raise ValueError(f'member {name!r} has a critic or encodings')
  leaves = {leaf: held.leaves[leaf].shape for leaf in held.leaves}
  free = _free(name, entry['free'], leaves, before)
  bank = {f'{leaf}/{piggyback.FREE}': (*leaves[leaf][:-1], u)
          for leaf, u in free.items()}  # fmt: skip
  own = {n: shape for n, shape in leaves.items() if n not in free}
  for leaf, u in free.items():
    size = sum(other.free[leaf] for other in before)
    own[f'{leaf}/{piggyback.MIX}'] = (size, leaves[leaf][-1] - u)
  index, offset = len(before), before[-1].own.end if before else 0
  first = _section(index, bank, offset)
  second = _section(index, own, first.end)
  if second.end > header_lib.MAX_BYTES:
    raise ValueError(
      f'{second.end} bytes of tensors exceed {header_lib.MAX_BYTES}'
    )
  return Contents(name, held.spec, leaves, free, first, second, entry)


def _free(
  name: str,
  given: Mapping[str, Any],
  leaves: Mapping[str, Shape],
  before: Sequence[Contents],
) -> dict[str, int]:
  """Checks numbers of free filters."""
  if before and given.keys() != before[0].free.keys():
    raise ValueError(f'member {name!r} factorises other layers than the first')
  found = {}
  for leaf in sorted(given):
    u, shape = given[leaf], leaves.get(leaf, ())
    if len(shape) < 2:
      raise ValueError(f'member {name!r}: {leaf[:80]!r} has no filters')
    if isinstance(u, bool) or not isinstance(u, int) or not 0 <= u <= shape[-1]:
      raise ValueError(f'member {name!r}: {str(u)[:20]} free filters of {leaf}')
    if before and before[0].leaves[leaf][:-1] != shape[:-1]:
      raise ValueError(f'member {name!r}: {leaf} does not fit the bank')
    if not before and u != shape[-1]:
      raise ValueError(f'all filters of the first member are free, not {u}')
    found[leaf] = u
  return found


def _section(index: int, shapes: Mapping[str, Shape], begin: int) -> Section:
  places, offset = {}, begin
  for name in sorted(shapes):
    places[f'{index}/{name}'] = header_lib.Place('F32', shapes[name], offset)
    offset += 4 * math.prod(shapes[name])
  return Section(places, begin, offset)


def places(members: Sequence[Contents]) -> dict[str, header_lib.Place]:
  """Returns the places of all tensors, by name, in order of the file."""
  found: dict[str, header_lib.Place] = {}
  for one in members:
    found |= one.bank.places | one.own.places
  return found


def make(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Makes the manifest of a file.

  Args:
    entries: the entry of each member.
  """
  return {manifest_lib.FAMILY: VERSION, 'members': list(entries)}


def describe(members: Sequence[Contents]) -> list[dict[str, Any]]:
  """Describes members as JSON values.

  Returns:
    For each member its `name`, its `network`, the `parameters` and `bytes` that
    it adds, the parameters of the `whole` network and the `share` of them that
    is added.
  """
  rows = []
  for one in members:
    size = one.own.end - one.bank.begin
    whole = sum(math.prod(shape) for shape in one.leaves.values())
    rows.append({
      'name': one.name,
      'network': one.spec.network,
      'image_shape': list(one.spec.image_shape),
      'parameters': size // 4,
      'bytes': size,
      'whole': whole,
      'share': round(size / 4 / whole, 4),
    })  # fmt: skip
  return rows
