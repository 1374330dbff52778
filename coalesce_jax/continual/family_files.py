"""Files of families: one safetensors file for all tasks, read in strict bounds.

The bank is stored once: each member brings its free filters, and uses those of
the members before it. A member can be read without the others' own parameters.

A file comes from another node and is untrusted, like a bundle (see
`models.bundle`). The header is bounded, and the place of every tensor must be
the one that follows from the manifest (`family_manifest`). Then the bytes of a
member are read and compared with its digests, and its composed parameters with
theirs.

Adding a member keeps the bytes of all others, and is atomic.
"""

from collections.abc import Sequence
import os
from typing import Any, BinaryIO

import numpy as np

from coalesce_jax.continual import family as family_lib
from coalesce_jax.continual import family_locks
from coalesce_jax.continual import family_manifest
from coalesce_jax.core import files
from coalesce_jax.core import real_arrays
from coalesce_jax.core import trees
from coalesce_jax.models import bundle
from coalesce_jax.models import header as header_lib
from coalesce_jax.models import manifest as manifest_lib
from coalesce_jax.models import translator
from coalesce_jax.transforms import piggyback

Family = family_lib.Family
Member = family_lib.Member
BundleError = bundle.BundleError
Path = str | os.PathLike[str]


def save(path: Path, family: Family) -> None:
  """Writes a family atomically; equal families give equal bytes.

  Args:
    path: path of the file.
    family: the family.

  Raises:
    ValueError: parameters do not fit, or are not finite; a spec or a size that
      `load` would refuse.
  """
  files.write_bytes(path, encode(family))


def encode(family: Family) -> bytes:
  """Returns the bytes of a file; see `save` for arguments and errors."""
  contents: list[family_manifest.Contents] = []
  blocks: list[bytes] = []
  for index in range(len(family.members)):
    made, payload = _encoded(family, index, contents)
    contents.append(made)
    blocks.append(payload)
  return _joined(contents, blocks)


def add(path: Path, member: Member, out: Path | None = None) -> None:
  """Adds a member to a family. The bytes of the others stay.

  The file is replaced at once, or not at all. One process at a time may add to
  a file; another one waits, or see `family_locks`.

  Args:
    path: path of a family.
    member: the new member. Its mixing matrices are of the bank of all members
      in the file.
    out: path of the larger family; None replaces `path`.

  Raises:
    BundleError: the file is damaged, or anything but a family.
    ValueError: the member does not fit the family, has the name of another, or
      see `save`. The file is then as it was.
  """
  out = path if out is None else out
  with family_locks.locked(out, wait=True):
    with bundle.opened(path) as file:
      contents, start = _contents(path, file)
      family = _members(file, start, contents)
      file.seek(start)
      payload = file.read(contents[-1].own.end)
    grown = family._replace(members=(*family.members, member))
    made, block = _encoded(grown, len(contents), contents)
    files.write_bytes(out, _joined([*contents, made], [payload, block]))


def load(path: Path) -> Family:
  """Reads all members of a family.

  Raises:
    BundleError: the file is missing, damaged, too large, or anything but a
      family.
  """
  with bundle.opened(path) as file:
    contents, start = _contents(path, file)
    return _members(file, start, contents)


def load_member(path: Path, which: int | str) -> translator.Model:
  """Reads the generator or translator of one member, and only what it needs.

  Args:
    path: path of a family.
    which: index or name of the member.

  Raises:
    BundleError: see `load`; there is no such member. Damage elsewhere in the
      file is no error.
  """
  with bundle.opened(path) as file:
    contents, start = _contents(path, file)
    names = Family(
      tuple(Member(c.name, c.spec, None) for c in contents), ()
    )  # fmt: skip
    index = names.find(which)
    family = _members(file, start, contents[: index + 1], index)
    made, digest = _composed(family, index)
    if digest != contents[index].entry['generator']['payload_sha256']:
      raise ValueError(
        f'damaged, {names.members[index].name!r} has another sha256 than the '
        "manifest's"
      )
    return made


def inspect(path: Path) -> dict[str, Any]:
  """Returns the manifest of a family; checks all but the payload.

  Raises:
    BundleError: see `load`.
  """
  with bundle.opened(path) as file:
    header = bundle.header_of(path, file)
    _checked_places(header)
    return header.manifest


def describe(path: Path) -> list[dict[str, Any]]:
  """Returns what a family holds of each member; reads no parameters.

  Returns:
    See `family_manifest.describe`.

  Raises:
    BundleError: see `load`.
  """
  with bundle.opened(path) as file:
    contents, _ = _contents(path, file)
  return family_manifest.describe(contents)


def _contents(
  path: Path, file: BinaryIO
) -> tuple[list[family_manifest.Contents], int]:
  """Returns the checked contents, and where the payload starts."""
  header = bundle.header_of(path, file)
  return _checked_places(header), file.tell()


def _checked_places(
  header: header_lib.Header,
) -> list[family_manifest.Contents]:
  contents = family_manifest.parse(header.manifest)
  wanted = family_manifest.places(contents)
  tensors = {
    name: header_lib.Tensor(place.type, [place.shape])
    for name, place in wanted.items()
  }
  found = header_lib.layout(tensors, header.entries, header.payload_size)
  for name, place in wanted.items():
    if found[name] != place:
      raise ValueError(f'{name!r} does not lie where it should')
  return contents


def _members(
  file: BinaryIO,
  start: int,
  contents: Sequence[family_manifest.Contents],
  only: int | None = None,
) -> Family:
  """Reads members; of those before `only`, if given, only the bank."""
  members = []
  for index, one in enumerate(contents):
    leaves = _read(file, start, one.bank, one.entry['bank_sha256'])
    if only is None or index == only:
      leaves |= _read(file, start, one.own, one.entry['own_sha256'])
    members.append(Member(one.name, one.spec, trees.unflatten(leaves)))
  return Family(tuple(members), tuple(contents[0].free))


def _read(
  file: BinaryIO, start: int, section: family_manifest.Section, digest: str
) -> dict[str, np.ndarray]:
  """Reads tensors by the names of their leaves."""
  file.seek(start + section.begin)
  payload = file.read(section.end - section.begin)
  if files.digest([payload]) != digest:
    name = next(iter(section.places), '')
    raise ValueError(f"damaged at {name!r}, its sha256 is not the manifest's")
  found = {}
  for name, place in section.places.items():
    count = int(np.prod(place.shape, dtype=np.int64))
    value = np.frombuffer(
      payload, header_lib.TYPES[place.type], count, place.offset - section.begin
    ).reshape(place.shape)
    if not np.all(np.isfinite(value)):
      raise ValueError(f'{name}: holds values that are not finite')
    found[name.partition('/')[2]] = value
  return found


def _composed(family: Family, index: int) -> tuple[translator.Model, str]:
  """Returns a generator, and the digest that its bundle would have."""
  made = family.generator(index)
  leaves = trees.flatten(made.params)
  for name, leaf in leaves.items():
    if not np.all(np.isfinite(leaf)):
      raise ValueError(f'{name}: composes values that are not finite')
  blocks = [np.asarray(leaves[name]).tobytes() for name in sorted(leaves)]
  return made, files.digest(blocks)


def _encoded(
  family: Family, index: int, before: Sequence[family_manifest.Contents]
) -> tuple[family_manifest.Contents, bytes]:
  """Returns the contents and the bytes of a member."""
  member = family.members[index]
  flat = {
    name: real_arrays.convert(leaf, name).astype(np.float32)
    for name, leaf in trees.flatten(member.latent).items()
  }
  for name, leaf in flat.items():
    if not np.all(np.isfinite(leaf)):
      raise ValueError(f'{member.name}: {name} is not finite')
  free = {}
  for layer in family.layers:
    if f'{layer}/{piggyback.FREE}' not in flat:
      raise ValueError(f'{member.name}: no free filters of {layer!r}')
    free[layer] = flat[f'{layer}/{piggyback.FREE}'].shape[-1]
  described = manifest_lib.contents(member.spec, {}, {})
  entry: dict[str, Any] = {
    'name': member.name,
    'generator': manifest_lib.make(described, ''),
    'free': free,
    'bank_sha256': '',
    'own_sha256': '',
  }
  contents = family_manifest.member(entry, before)
  blocks = {}
  for field, section in (('bank', contents.bank), ('own', contents.own)):
    parts = []
    for name, place in section.places.items():
      leaf = flat.pop(name.partition('/')[2], np.empty(0, np.float32))
      if leaf.shape != place.shape:
        shape = leaf.shape if leaf.size else 'missing'
        raise ValueError(
          f'{member.name}: {name} is {shape}, the family has {place.shape}'
        )
      parts.append(np.ascontiguousarray(leaf).tobytes())
    blocks[field] = b''.join(parts)
    entry[f'{field}_sha256'] = files.digest([blocks[field]])
  if flat:
    raise ValueError(f'{member.name}: {min(flat)!r} is not in its network')
  entry['generator']['payload_sha256'] = _composed(family, index)[1]
  return contents, blocks['bank'] + blocks['own']


def _joined(
  contents: Sequence[family_manifest.Contents], blocks: Sequence[bytes]
) -> bytes:
  manifest = family_manifest.make([one.entry for one in contents])
  places = family_manifest.places(family_manifest.parse(manifest))
  return b''.join([header_lib.encode(manifest, places), *blocks])
