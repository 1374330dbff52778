"""Settings of a run over real nodes: from the flat values that a run carries.

A run has texts and numbers by name. Its configuration is one of them, as JSON.
"""

from collections.abc import Mapping
import json
from typing import Any

import ml_collections

from coalesce_jax.data import datasets

# Names of the values of a run.
CONFIG = 'settings'
OUT = 'out'
COUNT = 'nodes'
IMAGE_SHAPE = 'image-shape'
CLASSES = 'classes'
TIMEOUT = 'timeout'
WAIT = 'wait'
CLIP = 'clip'
NOISE = 'noise'
# Names of the values of a node.
POSITION = 'partition-id'
DATA = 'data'
KEEP = 'out'


def dumps(config: Any) -> str:
  """Returns a configuration as JSON."""
  return json.dumps(config.to_dict())


def config(run: Mapping[str, Any], defaults: Any) -> Any:
  """Returns the configuration of a run.

  Args:
    run: values of the run.
    defaults: configuration with every field, a `ConfigDict`.

  Raises:
    ValueError: there is none, or it has other fields or types.
  """
  found = ml_collections.ConfigDict(defaults.to_dict())
  try:
    given = json.loads(run[CONFIG])
    with found.unlocked():
      _update(found, given)
  except (KeyError, TypeError, AttributeError, ValueError) as error:
    line = next(iter(str(error).splitlines()), type(error).__name__)
    raise ValueError(f'the settings of the run: {line[:200]}') from None
  return found


def _update(config: Any, given: Mapping[str, Any]) -> None:
  """Replaces fields in place; JSON has lists where there were tuples."""
  for name, value in given.items():
    if isinstance(value, Mapping):
      if not isinstance(config.get(name), ml_collections.ConfigDict):
        config[name] = ml_collections.ConfigDict()
      _update(config[name], value)
    else:
      config[name] = _plain(value)


def _plain(value: Any) -> Any:
  return tuple(map(_plain, value)) if isinstance(value, list) else value


def image_shape(run: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns (H, W, C).

  Raises:
    ValueError: it is no list of three whole numbers.
  """
  text = str(run.get(IMAGE_SHAPE, ''))
  try:
    sizes = tuple(int(part) for part in text.split(','))
  except ValueError:
    sizes = ()
  if len(sizes) != 3 or min(sizes) < 1:
    raise ValueError(f'{IMAGE_SHAPE} {text[:40]!r} is not H,W,C')
  return sizes


def shown(shape: tuple[int, ...]) -> str:
  """Returns a shape as `image_shape` reads it."""
  return ','.join(map(str, shape))


def own(
  node: Mapping[str, Any], data_dir: str, shape: tuple[int, ...]
) -> datasets.Dataset | None:
  """Returns the data that a node has of its own.

  Args:
    node: values of the node.
    data_dir: folder where data sets are searched first; '' is none.
    shape: (H, W, C).

  Returns:
    The data, or None if the node takes its part of the data of the run.

  Raises:
    ValueError: they cannot be read, or it has neither data nor a position.
  """
  if DATA in node:
    return datasets.load(node[DATA], 'train', data_dir or None, shape)
  if node.get(POSITION, -1) == -1:
    raise ValueError(
      f'the node has neither {DATA!r} nor {POSITION!r} in its --node-config'
    )
  return None


def position(node: Mapping[str, Any], count: int) -> int:
  """Returns which node this is; -1 where the server is to say.

  Args:
    node: values of the node.
    count: number of nodes.

  Raises:
    ValueError: it is none of these nodes.
  """
  found = node.get(POSITION, -1)
  whole = isinstance(found, int) and not isinstance(found, bool)
  if not whole or not -1 <= found < count:
    raise ValueError(f'{POSITION} {found!r} is not in 0 to {count - 1}')
  return found
