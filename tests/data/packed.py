"""Archives like those of package registries, for tests."""

import hashlib
import io
import tarfile


def sha(data):
  return hashlib.sha256(data).hexdigest()


def archive(path, members, link=None):
  """Writes a tar file of contents by name, maybe with a link; its path."""
  with tarfile.open(path, 'w:gz') as tar:
    if link:
      info = tarfile.TarInfo(link)
      info.type, info.linkname = tarfile.SYMTYPE, '/etc/passwd'
      tar.addfile(info)
    for name, data in members.items():
      info = tarfile.TarInfo(name)
      info.size = len(data)
      tar.addfile(info, io.BytesIO(data))
  return path
