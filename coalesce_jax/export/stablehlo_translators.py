"""Functions of translators whose sides may be symbols, for StableHLO programs.

`jax.export` traces a program with symbols for the sizes of its input. The
padding of `networks.translation_layers` decides in Python how often an image
must be reflected, which a symbol cannot. Here images are padded by reflected
indices that the program computes, see `onnx_padding`. The network then sees
sides that are multiples, and pads nothing. A side of one pixel repeats that
pixel, as in ONNX, so that no size is refused.

Shapes: B batch, H, W image, C, D channels.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import core
from jax import export
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import translators


def condition(spec: generator_lib.Spec) -> jax.ShapeDtypeStruct:
  """Returns images `[B, H, W, C]` whose sizes are symbols, from 1."""
  assert spec.condition_shape is not None
  sizes = export.symbolic_shape('batch, height, width')
  return jax.ShapeDtypeStruct((*sizes, spec.condition_shape[-1]), jnp.float32)


def any_size(
  spec: generator_lib.Spec, network: types.Network
) -> Callable[[types.Params, jax.Array], jax.Array]:
  """Returns a function ``(params, images) -> results`` for symbolic sizes.

  Args:
    spec: the spec of a translator.
    network: its network.
  """
  multiple, padded = translators.padded_sides(spec.network, dict(spec.options))

  def apply(params: types.Params, images: jax.Array) -> jax.Array:
    places = []
    for axis in (1, 2):
      side: Any = images.shape[axis]
      blocks = -(-side // multiple)
      if padded > multiple:
        blocks = core.max_dim(blocks, padded // multiple)
      whole = blocks * multiple
      before = (whole - side) // 2
      period = 2 * (side - 1)
      i = (jnp.arange(whole) - before) % jnp.maximum(period, 1)
      i = jnp.minimum(i, period - i)
      images = jnp.take(images, i, axis=axis)
      places.append(slice(before, before + side))
    made: jax.Array = network.apply(params, images)
    return made[:, places[0], places[1]]

  return apply
