"""Masks the channels of a critic.

Critics are not shipped, so that their channels are masked and not removed.

Shapes: C channels of a map.
"""

from collections.abc import Callable, Mapping
import re
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.compress import slicing
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.networks import maps
from coalesce_jax.networks import masking

_LAYER = re.compile(r'(conv|dense)_(\d+)/kernel')


def sizes(network: types.Network) -> dict[str, int]:
  """Returns C by name of each layer that writes a map, in their order.

  Args:
    network: a critic with layers `conv_0`, `conv_1`, ... or `dense_0`, ..., and
      a layer `head`, such as those of `networks.dcgan`, `mlp` and `patchgan`.

  Raises:
    ValueError: the network has no such layers.
  """
  leaves = trees.flatten(jax.eval_shape(network.init, jax.random.key(0)))
  found = {
    match[0].removesuffix('/kernel'): (int(match[2]), leaves[match[0]])
    for match in map(_LAYER.fullmatch, leaves)
    if match
  }
  if not found or 'head/kernel' not in leaves:
    raise ValueError(
      f'a critic with leaves {sorted(leaves)[:4]} has no channels to mask: '
      'take one of convolutions or dense layers'
    )
  order = sorted(found, key=lambda name: found[name][0])
  return {name: found[name][1].shape[-1] for name in order}


def masked(
  network: types.Network,
) -> Callable[[types.Params, Mapping[str, Any], Any], jax.Array]:
  """Returns the function `(params, masks, inputs) -> scores` of a critic.

  It is differentiable in the masks, `[C]` of 1 and 0 by name of a layer.

  Args:
    network: see `sizes`.

  Raises:
    ValueError: as of `sizes`.
  """
  layers = tuple(sizes(network))
  kept_network = masking.with_kept(network)

  def apply(
    params: types.Params, masks: Mapping[str, Any], inputs: Any
  ) -> jax.Array:
    leaves = trees.flatten(params)
    norms = {layer: _norm(layer) for layer in layers}
    kept = {
      norm: masks[layer]
      for layer, norm in norms.items()
      if f'{norm}/scale' in leaves
    }
    scores: jax.Array = kept_network.apply(
      {'base': _unread(layers, leaves, masks), 'kept': kept}, inputs
    )
    return scores

  return apply


def closed(
  network: types.Network, params: types.Params, masks: Mapping[str, Any]
) -> types.Params:
  """Returns parameters whose masked channels no layer reads.

  Args:
    network: see `sizes`.
    params: its parameters.
    masks: `[C]` of 1 and 0, by name of a layer.
  """
  return _unread(tuple(sizes(network)), trees.flatten(params), masks)


def _unread(
  layers: tuple[str, ...], leaves: dict[str, Any], masks: Mapping[str, Any]
) -> types.Params:
  leaves = dict(leaves)
  for layer, reader in zip(layers, (*layers[1:], 'head'), strict=True):
    mask, name = masks[layer], f'{reader}/kernel'
    # A last layer may read whole maps, whose channels come in turns, and
    # distances to centers after the units of a perceptron.
    turns = leaves[name].shape[-2] // mask.size if layer[:4] == 'conv' else 1
    leaves[name] = slicing.times(leaves[name], jnp.tile(mask, turns), -2)
  return trees.unflatten(leaves)


def _norm(layer: str) -> str:
  """Returns the name of the norm after a layer, if there is one."""
  return 'norm_' + layer.rpartition('_')[2]


def described(
  network: types.Network,
) -> Callable[[types.Params, Mapping[str, Any], Any], jax.Array]:
  """Returns `(params, masks, inputs) -> features` `[B, F]` of a masked critic.

  They are the last map before its activation, after its norm if it has one.
  Masked channels are 0, and the others are larger the fewer they are, so that
  the mean square of all is that of the open ones.

  Args:
    network: see `sizes`.

  Raises:
    ValueError: as of `sizes`.
  """
  last = list(sizes(network))[-1]
  leaves = trees.flatten(jax.eval_shape(network.init, jax.random.key(0)))
  normed = f'{_norm(last)}/scale' in leaves
  read = _norm(last) if normed else last
  apply_masked = masked(network)
  whole = types.Network(
    network.init, lambda given, inputs: apply_masked(given[0], given[1], inputs)
  )
  both = maps.with_maps(whole, (read,))

  def apply(
    params: types.Params, masks: Mapping[str, Any], inputs: Any
  ) -> jax.Array:
    _, found = both((params, masks), inputs)
    values = found[read]
    # Maps of convolutions are [C, H, W, B], others [B, C].
    if values.ndim == 4:
      values = jnp.moveaxis(values, (3, 0), (0, 3))
    mask = masks[last]
    opened = mask / jnp.sqrt(jnp.mean(mask))
    values = values * opened.reshape(*[1] * (values.ndim - 1), -1)
    return values.reshape(len(values), -1)

  return apply
