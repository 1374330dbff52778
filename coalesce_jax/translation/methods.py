"""The methods of translation by name, for command lines and experiments."""

from collections.abc import Callable
from typing import Any, NamedTuple

from coalesce_jax.core import types
from coalesce_jax.models import translator
from coalesce_jax.training import loop
from coalesce_jax.translation import cut_method
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings
from coalesce_jax.translation import training


class Method(NamedTuple):
  """The functions of a method.

  Attributes:
    paired: whether rows of conditions and targets must belong together.
    networks: ``(images, config) -> networks``. It raises ValueError if there
      are none for such images.
    fit: ``(key, images, config=, hooks=) -> (translators, history)``, of images
      that `training.data` has checked.
  """

  paired: bool
  networks: Callable[..., Any]
  fit: Callable[..., Any]


TABLE = {
  'pix2pix': Method(True, pix2pix_method.networks, pix2pix_method.fit),
  'cyclegan': Method(False, cyclegan_method.networks, cyclegan_method.fit),
  'cut': Method(False, cut_method.networks, cut_method.fit),
}


def check(
  method: str, pairs: Any, config: settings.Translation
) -> training.Data:
  """Checks images and settings without training.

  Args:
    method: one of `settings.METHODS`.
    pairs: see `training.data`.
    config: settings of the method.

  Returns:
    The images, for `fit` with the same settings.

  Raises:
    ValueError: see `training.data` and the method.
  """
  images = training.data(pairs, config.crop_size, TABLE[method].paired)
  TABLE[method].networks(images, config)
  return images


def fit(
  method: str,
  key: types.PRNGKey,
  images: training.Data,
  *,
  config: settings.Translation,
  hooks: loop.HooksFor | None = None,
) -> tuple[list[translator.Translator], loop.History]:
  """Trains translators by a method, on images that are checked already.

  Args:
    method: one of `settings.METHODS`.
    key: one key, or `[S]` keys; consumed.
    images: what `check` returned.
    config: settings of the method, those of `check`.
    hooks: maps the name of a stage, that of the method, to its effects.

  Returns:
    The translator from condition to target; after it that of the other
    direction, if the method has one. And the history.
  """
  made, history = TABLE[method].fit(key, images, config=config, hooks=hooks)
  single = isinstance(made, translator.Translator)
  return ([made] if single else list(made)), history


def train(
  method: str,
  key: types.PRNGKey,
  pairs: Any,
  *,
  config: settings.Translation | None = None,
  hooks: loop.HooksFor | None = None,
) -> tuple[list[translator.Translator], loop.History]:
  """Checks images and trains translators by a method.

  Args:
    method: see `fit`.
    key: see `fit`.
    pairs: see `training.data`.
    config: settings of the method; None is its defaults.
    hooks: see `fit`.

  Returns:
    See `fit`.

  Raises:
    ValueError: see `check`.
  """
  config = settings.default(method) if config is None else config
  images = check(method, pairs, config)
  return fit(method, key, images, config=config, hooks=hooks)
