"""Reads packages as archives without trusting them.

Only the base names or the names of files are looked at; nothing is written to a
path that an archive names. Links and folders are ignored, and sizes are
bounded.
"""

from collections.abc import Callable, Mapping
import pathlib
import re
import subprocess
import tarfile
import tempfile
import zlib

from coalesce_jax.core import files

MAX_MEMBER_BYTES = 1 << 28
MAX_BYTES = 1 << 30
TIMEOUT_S = 600


def unpack(
  archive: pathlib.Path, wanted: Mapping[str, str], target: pathlib.Path
) -> None:
  """Writes the wanted files of an archive into one folder.

  Only the base names of the archive's files are used, not their paths. Links
  and folders are ignored, sizes are bounded, and a file is written only after
  its SHA-256 is verified.

  Args:
    archive: a tar file, compressed or not, or a Debian package.
    wanted: SHA-256 by base name.
    target: folder for the files.

  Raises:
    ValueError: the archive cannot be read, or a file in it is missing, too
      large or has another SHA-256.
  """
  missing = dict(wanted)

  def run() -> None:
    with tempfile.TemporaryDirectory() as temporary:
      path = archive
      if archive.suffix == '.deb':
        path = pathlib.Path(temporary) / 'data.tar'
        with open(path, 'wb') as file:
          subprocess.run(
            ['dpkg-deb', '--fsys-tarfile', str(archive)],
            stdout=file,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=True,
          )
      with tarfile.open(path) as tar:
        for member in tar:
          base = pathlib.PurePosixPath(member.name).name
          stream = tar.extractfile(member) if member.isreg() else None
          if base not in missing or stream is None:
            continue
          if member.size > MAX_MEMBER_BYTES:
            raise ValueError(
              f'{archive.name}: {base} has {member.size} bytes, more than '
              f'{MAX_MEMBER_BYTES}'
            )
          data = stream.read()
          found, digest = files.digest([data]), missing.pop(base)
          if found != digest:
            raise ValueError(
              f'{archive.name}: sha256 of {base} is {found}, not {digest}'
            )
          files.write_bytes(target / base, data)

  _guarded(archive, run)
  if missing:
    raise ValueError(f'{archive.name}: no {min(missing)} inside')


def read(
  archive: pathlib.Path, pattern: str, max_member_bytes: int = 1 << 20
) -> dict[str, bytes]:
  """Reads the files of an archive whose names match a pattern.

  Args:
    archive: a tar file, compressed or not.
    pattern: regular expression of the whole name of a file in the archive.
    max_member_bytes: largest accepted size of one file.

  Returns:
    Contents by name, in the order of names.

  Raises:
    ValueError: the archive cannot be read, a file is larger, or all files have
      more than `MAX_BYTES`. The message is one line.
  """
  found: dict[str, bytes] = {}

  def run() -> None:
    total = 0
    with tarfile.open(archive) as tar:
      for member in tar:
        if not member.isreg() or not re.fullmatch(pattern, member.name):
          continue
        total += member.size
        if member.size > max_member_bytes or total > MAX_BYTES:
          raise ValueError(
            f'{archive.name}: {files.shown(member.name)} has {member.size} '
            f'bytes, more than {max_member_bytes} or {MAX_BYTES} altogether'
          )
        stream = tar.extractfile(member)
        found[member.name] = stream.read() if stream else b''

  _guarded(archive, run)
  return dict(sorted(found.items()))


def names(archive: pathlib.Path, pattern: str) -> list[str]:
  """Returns the names of the files in an archive that match a pattern.

  Args:
    archive: see `read`.
    pattern: see `read`.

  Raises:
    ValueError: the archive cannot be read. The message is one line.
  """
  found: list[str] = []

  def run() -> None:
    with tarfile.open(archive) as tar:
      found.extend(
        member.name
        for member in tar
        if member.isreg() and re.fullmatch(pattern, member.name)
      )

  _guarded(archive, run)
  return sorted(found)


def _guarded(archive: pathlib.Path, run: Callable[[], None]) -> None:
  try:
    run()
  except (
    OSError,
    EOFError,
    zlib.error,
    tarfile.TarError,
    subprocess.SubprocessError,
  ) as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise ValueError(f'{archive.name}: not unpacked ({reason})') from None
