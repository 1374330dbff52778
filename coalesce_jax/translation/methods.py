"""The methods of translation by name, for command lines and experiments."""

from collections.abc import Callable
from typing import Any

from coalesce_jax.core import types
from coalesce_jax.models import translator
from coalesce_jax.training import loop
from coalesce_jax.translation import cut_method
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings
from coalesce_jax.translation import training

TABLE: dict[str, Callable[..., Any]] = {
  'pix2pix': pix2pix_method.pix2pix,
  'cyclegan': cyclegan_method.cyclegan,
  'cut': cut_method.cut,
}


# Checks that the networks of a method can be built for some images.
_NETWORKS: dict[str, Callable[..., Any]] = {
  'pix2pix': pix2pix_method.networks,
  'cyclegan': cyclegan_method.networks,
  'cut': cut_method.networks,
}


def check(
  method: str, pairs: Any, config: settings.Translation
) -> training.Data:
  """Checks images and settings without training, and returns the images.

  Args:
    method: one of `settings.METHODS`.
    pairs: see `training.data`.
    config: settings of the method.

  Raises:
    ValueError: see `training.data` and the method.
  """
  images = training.data(pairs, config.crop_size, method == 'pix2pix')
  _NETWORKS[method](images, config)
  return images


def train(
  method: str,
  key: types.PRNGKey,
  pairs: Any,
  *,
  config: settings.Translation | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[list[translator.Translator], loop.History]:
  """Trains translators by a method.

  Args:
    method: one of `settings.METHODS`.
    key: one key, or `[S]` keys; consumed.
    pairs: see `training.data`.
    config: settings of the method; None is its defaults.
    hooks: maps the name of a stage, that of the method, to its effects.

  Returns:
    The translator from condition to target; after it that of the other
    direction, if the method has one. And the history.

  Raises:
    ValueError: see the method.
  """
  made, history = TABLE[method](key, pairs, config=config, hooks=hooks)
  single = isinstance(made, translator.Translator)
  return ([made] if single else list(made)), history
