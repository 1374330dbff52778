"""Checks where a command shall write, before it does anything.

Nothing is created here: what is refused leaves no trace. What is there already
is replaced only if it is of the kind that the command writes, see `replacing`.
"""

from collections.abc import Sequence
import os
import pathlib

from coalesce_jax.core import replacing

BUNDLE = ('.safetensors',)
# What a file with this ending holds, if a command may replace it.
_KINDS = {
  '.safetensors': replacing.BUNDLE,
  '.png': replacing.PNG,
  '.npz': replacing.NPZ,
  '.onnx': replacing.ONNX,
  '.stablehlo': replacing.STABLEHLO,
  '.mlir': replacing.STABLEHLO,
  '.bin': replacing.STABLEHLO,
}


def file(flag: str, path: str, endings: Sequence[str]) -> str:
  """Returns the path of a file after checking that it can be written.

  Args:
    flag: name of the flag, for messages.
    path: the path.
    endings: the endings that the command can write, in lower case.

  Raises:
    ValueError: the path has another ending, is a folder, or lies in no folder
      that can be made and written to; another kind of file is there.
  """
  target = pathlib.Path(path)
  if is_device(path):
    return path
  if target.is_dir():
    raise ValueError(
      f'--{flag}={path}: is a folder; name a file that ends in '
      f'{" or ".join(endings)}'
    )
  if target.suffix.lower() not in endings:
    found = f'ends in {target.suffix}' if target.suffix else 'has no ending'
    raise ValueError(
      f'--{flag}={path}: {found}, this command writes {" or ".join(endings)}'
    )
  _writable(flag, path, target.parent)
  kind = _KINDS.get(target.suffix.lower())
  if kind is not None:
    replacing.check_file(path, kind)
  return path


def is_no_input(flag: str, path: str, **inputs: Sequence[str] | None) -> None:
  """Checks that a file to write is none of the files that are read.

  Args:
    flag: name of the flag, for messages.
    path: the path of the result.
    **inputs: paths that the command reads, by flag.

  Raises:
    ValueError: a path leads to the same file.
  """
  for name, paths in inputs.items():
    for read in paths or ():
      if os.path.exists(path) and os.path.exists(read):
        if os.path.samefile(path, read) and not is_device(path):
          raise ValueError(
            f'--{flag}={path}: would replace a bundle that --{name} reads; '
            'name another file'
          )


def check_workdir(
  path: str, results: Sequence[str], images: str | None = None
) -> None:
  """Checks that a work folder is at the place of nothing else.

  Args:
    path: the work folder.
    results: files that the command will write.
    images: what it reads its images from.

  Raises:
    ValueError: the folder would be at or below a result, or it holds the
      images, among which its figures would be read the next time.
  """
  place = os.path.realpath(path)
  for result in map(os.path.realpath, results):
    if place == result or place.startswith(f'{result}{os.sep}'):
      raise ValueError(
        f'--workdir={path}: is the place of the result; name another folder'
      )
  if images is not None and place == os.path.realpath(images):
    raise ValueError(
      f'--workdir={path}: holds the images that are read; name another folder'
    )


def is_device(path: str) -> bool:
  """Whether a path is a device, a pipe or an open file such as /dev/stdout."""
  target = pathlib.Path(path)
  special = target.exists() and not target.is_file() and not target.is_dir()
  return special or path.startswith(('/dev/', '/proc/self/fd/'))


def folder(flag: str, path: str) -> str:
  """Returns the path of a folder after checking that it can be written to.

  Args:
    flag: name of the flag, for messages.
    path: the path, of a folder that is there or can be made.

  Raises:
    ValueError: it is a file, has the ending of a file, or cannot be made and
      written to.
  """
  target = pathlib.Path(path)
  if target.exists() and not target.is_dir():
    raise ValueError(f'--{flag}={path}: is a file; name a folder')
  if target.suffix.lower() in BUNDLE:
    raise ValueError(
      f'--{flag}={path}: this command writes several files; name a folder'
    )
  _writable(flag, path, target)
  return path


def file_or_folder(flag: str, path: str, endings: Sequence[str]) -> str:
  """Returns a path of a file with one of the endings, or of a folder.

  A path without an ending, or of a folder that is there, is a folder.

  Args:
    flag: name of the flag, for messages.
    path: the path.
    endings: the endings of files that the command can write, in lower case.

  Raises:
    ValueError: see `file` and `folder`.
  """
  target = pathlib.Path(path)
  if target.is_dir():
    return folder(flag, path)
  if target.suffix.lower() in endings or target.exists():
    return file(flag, path, endings)
  if target.suffix:
    raise ValueError(
      f'--{flag}={path}: ends in {target.suffix}, this command writes '
      f'{" or ".join(endings)}, or a folder, which has no ending'
    )
  return folder(flag, path)


def _writable(flag: str, path: str, place: pathlib.Path) -> None:
  """Checks that a folder, or the nearest one above it, can be written to."""
  while not place.exists() and place != place.parent:
    place = place.parent
  if not place.is_dir():
    raise ValueError(f'--{flag}={path}: {place} is a file, not a folder')
  if not os.access(place, os.W_OK | os.X_OK):
    raise ValueError(
      f'--{flag}={path}: {place} may not be written to; name another place'
    )
