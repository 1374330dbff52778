"""Finds the folder of what can be made or downloaded again."""

import os
import pathlib


def folder() -> pathlib.Path:
  """Returns ``$XDG_CACHE_HOME/coalesce_jax``, by default in ``~/.cache``.

  Raises:
    ValueError: the user has no home folder.
  """
  base = os.environ.get('XDG_CACHE_HOME')
  if not base:
    try:
      base = str(pathlib.Path.home() / '.cache')
    except RuntimeError:
      raise ValueError(
        'no home folder for a cache: set HOME or XDG_CACHE_HOME'
      ) from None
  return pathlib.Path(base) / 'coalesce_jax'
