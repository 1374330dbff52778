"""Loads feature networks by name."""

from collections.abc import Callable
import functools
import importlib.resources

from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import feature_names
from coalesce_jax.metrics import features
from coalesce_jax.metrics import imagenet

COMMITTED = feature_names.COMMITTED
NAMES = feature_names.NAMES


@functools.cache
def load(name: str) -> features.Features:
  """Loads a network that is part of this package.

  Args:
    name: one of `COMMITTED`, the data set that the network was trained on.

  Raises:
    ValueError: the name is unknown.
  """
  if name not in COMMITTED:
    raise ValueError(f'feature network {name!r} is not one of {COMMITTED}')
  package = importlib.resources.files('coalesce_jax.metrics')
  with importlib.resources.as_file(package / f'{name}.npz') as path:
    return classifier_features.read(path, f'{name}64')


def named(name: str, image_shape: tuple[int, ...]) -> features.Features:
  """Loads a network by name.

  Args:
    name: one of `NAMES`; `'imagenet'` needs the extra of that name.
    image_shape: (H, W, C) of the images to be scored. The networks of
      `COMMITTED` keep their own shape.

  Raises:
    ValueError: the name is unknown, the network does not take such images, or
      its extra is not installed.
  """
  if name not in LOADERS:
    raise ValueError(f'features {name!r} are not one of {NAMES}')
  return LOADERS[name](image_shape)


def _committed(name: str, image_shape: tuple[int, ...]) -> features.Features:
  del image_shape
  return load(name)


# By name, a function ``image_shape -> network``.
LOADERS: dict[str, Callable[[tuple[int, ...]], features.Features]] = {
  **{name: functools.partial(_committed, name) for name in COMMITTED},
  'imagenet': imagenet.load,
  'random': classifier_features.random,
}
