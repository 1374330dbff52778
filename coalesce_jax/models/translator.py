"""Translators: networks from images to images, with the spec of their file.

Shapes: N images, H, W, C condition, D channels of the result.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.data import samples
from coalesce_jax.models import generator
from coalesce_jax.networks import translation_layers
from coalesce_jax.networks import translators

# The smallest side of an image: padding by reflection needs two pixels.
LEAST_SIDE = 2


class Translator(NamedTuple):
  """Holds what translating images needs.

  Attributes:
    network: `Network(init, apply)` from images to images of the same size.
    params: parameters of the network.
    spec: the spec, with a `condition_shape`.
    critic: always None; generators may have one.
  """

  network: types.Network
  params: types.Params
  spec: generator.Spec
  critic: types.Params | None = None

  def __call__(self, images: Any, batch: int = 16) -> jax.Array:
    """Translates images of any size from 2 pixels a side.

    Args:
      images: `[N, H, W, C]`, uint8 or floats in [-1, 1].
      batch: the most images that are translated at once. It does not change the
        results: with norm 'batch' it is always 1, because statistics of a batch
        would make the result of an image depend on the others.

    Returns:
      `[N, H, W, D]`, float32 in [-1, 1].

    Raises:
      ValueError: images have another number of channels, a side of one pixel,
        or values that are ambiguous or not finite.
    """
    return self.apply(self.checked(images), batch)

  def apply(self, images: Any, batch: int = 16) -> jax.Array:
    """Translates images whose shape and values are known to be right.

    Unlike `__call__` it takes bright images of floats, whose range nobody could
    tell, such as those that another network made.

    Args:
      images: `[N, H, W, C]`, uint8 or floats in [-1, 1].
      batch: see `__call__`.

    Returns:
      `[N, H, W, D]`, float32 in [-1, 1].
    """
    pads = translation_layers.padding(
      images.shape[1:3], *self._multiple_and_least()
    )
    if not np.any(pads) or isinstance(images, jax.core.Tracer):
      return self._in_batches(images, batch)
    # As the network does, but on the host, where nothing is compiled: all sizes
    # that are padded alike share one program.
    padded = np.pad(images, ((0, 0), *pads, (0, 0)), 'reflect')
    made = np.asarray(self._in_batches(padded, batch))
    (top, _), (left, _) = pads
    height, width = images.shape[1:3]
    return jnp.asarray(made[:, top : top + height, left : left + width])

  def padded(self, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the (H, W) to which an image is padded.

    Sizes that are padded to the same are translated by the same program.

    Args:
      size: (H, W) of the image.
    """
    pads = translation_layers.padding(size, *self._multiple_and_least())
    return size[0] + sum(pads[0]), size[1] + sum(pads[1])

  def _multiple_and_least(self) -> tuple[int, int]:
    options = dict(self.spec.options)
    return translators.padded_sides(self.spec.network, options)

  def _in_batches(self, images: Any, batch: int) -> jax.Array:
    apply = generator.jitted(self.network.apply)
    n = len(images)
    batch = translators.at_once(dict(self.spec.options), batch)
    made = [
      apply(
        self.params,
        pixels.decode(_padded(images[i : i + batch], min(n, batch))),
      )
      for i in range(0, n, batch)
    ]
    return jnp.concatenate(made)[:n]

  def checked(self, images: Any) -> Any:
    """Returns images after checking them; see `__call__`."""
    condition = self.spec.condition_shape
    assert condition is not None
    return checked(images, condition[-1])


def checked(images: Any, channels: int) -> jax.Array:
  """Returns images to translate after checking them.

  Args:
    images: `[N, H, W, C]`, uint8 or floats in [-1, 1].
    channels: C.

  Raises:
    ValueError: images have another number of channels, a smaller side, or
      values that are ambiguous or not finite.
  """
  shape = np.shape(images)
  if len(shape) != 4 or not shape[0] or shape[3] != channels:
    raise ValueError(
      f'images {tuple(shape)} are not [N, H, W, {channels}], N >= 1'
    )
  if min(shape[1:3]) < LEAST_SIDE:
    raise ValueError(
      f'images of {shape[1]} x {shape[2]} pixels: at least {LEAST_SIDE} a side '
      'are needed'
    )
  array = samples.array(images, shape[1:], 'images')
  return jnp.asarray(samples.checked(array, shape[1:], 'images'))


def _padded(images: Any, size: int) -> jax.Array:
  return jnp.pad(images, ((0, size - len(images)), (0, 0), (0, 0), (0, 0)))


Model = generator.Generator | Translator


def create(
  spec: generator.Spec,
  params: types.Params,
  critic: types.Params | None = None,
) -> Model:
  """Makes the `Translator` or the `Generator` of a spec.

  Args:
    spec: the spec.
    params: parameters of its network.
    critic: parameters of its critic, or None.

  Raises:
    ValueError: an unknown network, or options out of bounds.
  """
  if spec.condition_shape is None:
    return generator.create(spec, params, critic)
  return Translator(spec.build(), params, spec, critic)
