"""Tells what kind of file a user named, so that a message can say it.

A kind is known by the first bytes of the file and the ending of its name. A
file of any other program may be named by mistake, so nothing here parses it.
"""

import os

# Bytes to read of a file, and enough for every kind.
HEAD = 1024

# Kind -> what such a file is called.
NAMES = {
  '7z': 'a 7z archive',
  'bzip2': 'a bzip2 archive',
  'empty': 'an empty file',
  'gguf': 'a GGUF file',
  'gzip': 'a gzip archive',
  'hdf5': 'an HDF5 file',
  'html': 'a web page (HTML)',
  'image': 'an image',
  'keras': 'a file of Keras',
  'lfs': 'a pointer of Git LFS; run `git lfs pull` to get the file itself',
  'npy': 'a NumPy array (.npy)',
  'npz': 'an archive of NumPy arrays (.npz)',
  'onnx': 'an ONNX program',
  'pdf': 'a PDF file',
  'pickle': 'a pickle',
  'rar': 'a RAR archive',
  'safetensors': 'a safetensors file',
  'stablehlo': 'a StableHLO program',
  'tar': 'a tar archive',
  'text': 'a text file',
  'tflite': 'a file of TensorFlow Lite',
  'torch': 'a file of PyTorch',
  'unknown': 'a file of an unknown kind',
  'xz': 'an xz archive',
  'zip': 'a ZIP archive',
  'zstd': 'a Zstandard archive',
}
# First bytes -> kind.
_STARTS = (
  (b'\x93NUMPY', 'npy'),
  (b'\x89HDF', 'hdf5'),
  (b'%PDF', 'pdf'),
  (b'GGUF', 'gguf'),
  (b'7z\xbc\xaf', '7z'),
  (b'Rar!', 'rar'),
  (b'BZh', 'bzip2'),
  (b'\xfd7zXZ', 'xz'),
  (b'\x28\xb5\x2f\xfd', 'zstd'),
  (b'\x1f\x8b', 'gzip'),
  (b'\x89PNG', 'image'),
  (b'\xff\xd8\xff', 'image'),
  (b'GIF8', 'image'),
  (b'II*\0', 'image'),
  (b'MM\0*', 'image'),
  (b'version https://git-lfs', 'lfs'),
  (b'ML\xefR', 'stablehlo'),
)
# Endings that say more than the first bytes, which are those of an archive.
_FIRST = {
  '.pt': 'torch',
  '.pth': 'torch',
  '.ckpt': 'torch',
  '.pkl': 'pickle',
  '.pickle': 'pickle',
  '.keras': 'keras',
  '.npz': 'npz',
  '.tgz': 'tar',
  '.tar': 'tar',
  '.tar.gz': 'tar',
}
# Endings of files whose first bytes tell nothing.
_LAST = {
  '.onnx': 'onnx',
  '.mlir': 'stablehlo',
  '.stablehlo': 'stablehlo',
  '.tflite': 'tflite',
}


def kind(head: bytes, name: str) -> str:
  """Returns the kind of a file, one of `NAMES`.

  Args:
    head: the first bytes of the file, `HEAD` or all.
    name: name of the file.
  """
  name = name.lower()
  if not head:
    return 'empty'
  if head.startswith(b'version https://git-lfs'):
    return 'lfs'
  if _is_page(head):
    return 'html'
  if head[8:10] in (b'{"', b'{}') and head[5:8] == b'\0\0\0':
    return 'safetensors'
  for ending, found in _FIRST.items():
    if name.endswith(ending):
      return found
  if head.startswith(b'PK'):
    return 'torch' if b'/data.pkl' in head else 'zip'
  for start, found in _STARTS:
    if head.startswith(start):
      return found
  return _by_fields(head) or _by_ending(head, name)


def of(path: str | os.PathLike[str]) -> str:
  """Returns the kind of the file at a path; raises OSError."""
  with open(path, 'rb') as file:
    return kind(file.read(HEAD), os.path.basename(os.fspath(path)))


def _is_page(head: bytes) -> bool:
  start = head.removeprefix(b'\xef\xbb\xbf').lstrip()[:15].lower()
  return start.startswith((b'<!doctype html', b'<html', b'<head', b'<?xml'))


def _by_fields(head: bytes) -> str:
  """Returns the kind of a file that has its mark after some bytes, or ''."""
  if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
    return 'image'
  if head[:2] == b'BM' and head[6:10] == b'\0\0\0\0':
    return 'image'
  if head[257:262] == b'ustar':
    return 'tar'
  if head[4:8] == b'TFL3':
    return 'tflite'
  # Protocol 2 and later, and the frame or the opcodes that come first.
  if head[:1] == b'\x80' and 2 <= head[1] <= 5 and len(head) > 2:
    return 'pickle'
  # The version of the format, then the name of the program that wrote it.
  if head[:1] == b'\x08' and len(head) > 2 and head[2:3] in (b'\x12', b'\x3a'):
    return 'onnx'
  return ''


def _by_ending(head: bytes, name: str) -> str:
  for ending, found in _LAST.items():
    if name.endswith(ending):
      return found
  try:
    text = head.decode()
  except UnicodeDecodeError as error:
    # The last character may be cut.
    text = head[: error.start].decode() if error.start > HEAD - 4 else ''
  plain = text and all(c.isprintable() or c.isspace() for c in text)
  return 'text' if plain else 'unknown'
