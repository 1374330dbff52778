"""Finds the bundles that the package ships: nodes and their metamodels.

`zoo:NAME` stands for such a bundle wherever a path is asked for. `index.json`
beside the bundles says of each what it learned, how well, and by which command.
It needs no JAX.
"""

import functools
import importlib.resources
import json
import os
import pathlib
from typing import Any

from coalesce_jax.core import files

PREFIX = 'zoo:'


@functools.cache
def index() -> dict[str, dict[str, Any]]:
  """Returns what is known of every bundle, by its name without the prefix.

  Each has `file`, `sha256`, `dataset`, `classes`, `bytes`, `scores` and
  `command`.
  """
  text = _folder().joinpath('index.json').read_text(encoding='utf8')
  return json.loads(text)


def path(name: str | os.PathLike[str]) -> str:
  """Returns the path of a bundle of the zoo, or another path as it is.

  Args:
    name: 'zoo:NAME', or any path.

  Raises:
    ValueError: there is no such bundle, or its file is damaged.
  """
  text = os.fspath(name)
  if not text.startswith(PREFIX):
    return text
  known = index()
  entry = known.get(text.removeprefix(PREFIX))
  if entry is None:
    names = ', '.join(f'{PREFIX}{known_name}' for known_name in known)
    raise ValueError(f'{text}: not in the zoo, which has {names}')
  found = pathlib.Path(str(_folder().joinpath(entry['file'])))
  if not found.is_file() or files.sha256(found) != entry['sha256']:
    raise ValueError(f'{text}: {found} is damaged; install the package again')
  return str(found)


def _folder() -> Any:
  return importlib.resources.files('coalesce_jax.models').joinpath('zoo')
