"""Functions of translators whose sides may be symbols, for StableHLO programs.

`jax.export` traces a program with symbols for the sizes of its input. The
padding of `networks.translation_layers` decides in Python how often an image
must be reflected, which a symbol cannot. Here images are padded by reflected
indices that the program computes, see `onnx_padding`. The network then sees
sides that are multiples, and pads nothing.

Shapes: B batch, H, W image, C, D channels.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import export
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import translators


def least_side(spec: generator_lib.Spec) -> int:
  """Returns the smallest side of images that a program takes.

  The next multiple of smaller sides would be less than what the network needs.
  """
  multiple, least = translators.padded_sides(spec.network, dict(spec.options))
  return max(2, least - multiple + 1)


def condition(spec: generator_lib.Spec) -> jax.ShapeDtypeStruct:
  """Returns images `[B, H, W, C]` whose sizes are symbols."""
  least = least_side(spec)
  assert spec.condition_shape is not None
  sizes = export.symbolic_shape(
    'batch, height, width',
    constraints=[f'height >= {least}', f'width >= {least}'],
  )
  return jax.ShapeDtypeStruct((*sizes, spec.condition_shape[-1]), jnp.float32)


def any_size(
  spec: generator_lib.Spec, network: types.Network
) -> Callable[[types.Params, jax.Array], jax.Array]:
  """Returns a function ``(params, images) -> results`` for symbolic sizes.

  Args:
    spec: the spec of a translator.
    network: its network.
  """
  multiple, _ = translators.padded_sides(spec.network, dict(spec.options))

  def apply(params: types.Params, images: jax.Array) -> jax.Array:
    places = []
    for axis in (1, 2):
      side: Any = images.shape[axis]
      padded = -(-side // multiple) * multiple
      before = (padded - side) // 2
      i = (jnp.arange(padded) - before) % (2 * (side - 1))
      i = jnp.minimum(i, 2 * (side - 1) - i)
      images = jnp.take(images, i, axis=axis)
      places.append(slice(before, before + side))
    made: jax.Array = network.apply(params, images)
    return made[:, places[0], places[1]]

  return apply
