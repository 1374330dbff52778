"""Reads zip archives without trusting them.

Nothing is written, so that no name of an archive can lead anywhere. The sizes
of the archive, of the list of its members and of these are bounded before
memory is taken. A member that unpacks to more than it promises is refused.
"""

import pathlib
import re
import zipfile
import zlib

from coalesce_jax.core import files

MAX_ARCHIVE_BYTES = 1 << 28
MAX_BYTES = 1 << 28
MAX_MEMBERS = 100_000
# Bytes of the list of members at the end of an archive.
MAX_DIRECTORY_BYTES = 1 << 23
# What ends an archive, and the longest comment after it.
_END, _END_64, _LONGEST = b'PK\5\6', b'PK\6\6', (1 << 16) + 256


def read(
  archive: pathlib.Path,
  pattern: str,
  max_member_bytes: int = 1 << 16,
  max_bytes: int = MAX_BYTES,
  max_members: int = MAX_MEMBERS,
) -> dict[str, bytes]:
  """Reads the members of an archive whose names match a pattern.

  Args:
    archive: a zip file.
    pattern: regular expression of the whole name of a member. Other members,
      and folders, are not looked at.
    max_member_bytes: largest accepted size of one member.
    max_bytes: largest accepted size of all members that match.
    max_members: largest accepted number of members.

  Returns:
    Contents by name, in the order of names.

  Raises:
    ValueError: the archive cannot be read, is damaged or encrypted, has a name
      twice, or is too large. The message is one line.
  """
  name = files.shown(archive.name)
  try:
    size = archive.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
      raise ValueError(f'{name}: {size} bytes, more than {MAX_ARCHIVE_BYTES}')
    _check_directory(name, archive, size)
    with zipfile.ZipFile(archive) as opened:
      members = opened.infolist()
      if len(members) > max_members:
        raise ValueError(
          f'{name}: {len(members)} members, more than {max_members}'
        )
      wanted = [m for m in members if re.fullmatch(pattern, m.filename)]
      _check(name, wanted, max_member_bytes, max_bytes)
      found = {}
      for member in wanted:
        with opened.open(member) as stream:
          data = stream.read(member.file_size + 1)
        if len(data) != member.file_size:
          raise ValueError(
            f'{name}: {files.shown(member.filename)} has not the size that '
            'the archive promises'
          )
        found[member.filename] = data
  except (
    OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError,
    RuntimeError,
  ) as error:  # fmt: skip
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{name}: not unpacked ({reason:.200})') from None
  return dict(sorted(found.items()))


def _check_directory(name: str, archive: pathlib.Path, size: int) -> None:
  """Checks the list of members before it is read."""
  with open(archive, 'rb') as file:
    file.seek(max(0, size - _LONGEST))
    tail = file.read()
  for found in re.finditer(re.escape(_END), tail):
    bytes_ = tail[found.start() + 12 : found.start() + 16]
    if int.from_bytes(bytes_, 'little') > MAX_DIRECTORY_BYTES:
      raise ValueError(f'{name}: its list of members is too long')
  if _END_64 in tail:
    raise ValueError(f'{name}: a zip64 archive, which is not read')


def _check(
  archive: str,
  members: list[zipfile.ZipInfo],
  max_member_bytes: int,
  max_bytes: int,
) -> None:
  """Checks what the directory of an archive promises."""
  names = [member.filename for member in members]
  if len(set(names)) < len(names):
    raise ValueError(f'{archive}: a name occurs twice')
  for member in members:
    if member.file_size > max_member_bytes or member.flag_bits & 1:
      what = 'is encrypted'
      if not member.flag_bits & 1:
        what = f'has {member.file_size} bytes, more than {max_member_bytes}'
      raise ValueError(f'{archive}: {files.shown(member.filename)} {what}')
  total = sum(member.file_size for member in members)
  if total > max_bytes:
    raise ValueError(f'{archive}: {total} bytes, more than {max_bytes}')
