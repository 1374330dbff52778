"""Removes channels from a network, and masks them.

A masked network multiplies channels by 0 or 1 after the activation that follows
them. The mask is applied to the kernels that read the map. So a channel of 0
has the gradient of its effect; before an activation it would have none, since
the slope of a ReLU at 0 is 0. The sliced network is smaller and computes the
same: it lacks the channels of 0.

Statistics of the norms of a masked network:

* `'instance'` and `'batch'`: of each channel by itself
* `'layer'` and `'pixel'`: over the kept channels only
* `'group'`: refused, because removing channels would change the groups

Shapes: C channels of a group.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.compress import channels
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import masking

# Norms whose statistics join channels.
_JOINT = ('layer', 'pixel')
Masks = Mapping[str, Any]


def sliced(
  spec: generator_lib.Spec, params: types.Params, masks: Masks
) -> tuple[generator_lib.Spec, types.Params]:
  """Returns the spec and the parameters of the smaller network.

  The spec keeps its critic and its encodings: values of a ternary leaf stay
  ternary.

  Args:
    spec: the spec.
    params: parameters of its network.
    masks: booleans `[C]` by name of a group, see `channels.groups`. False
      removes a channel. A group without a mask is kept.

  Raises:
    ValueError: channels of the network cannot be removed, a mask belongs to no
      group, has another shape or type, or keeps no channel, or the parameters
      are of another network.
  """
  groups = channels.groups(spec)
  kept = checked(groups, masks)
  leaves = trees.flatten(params)
  wanted = channels.shapes(spec)
  if {name: jnp.shape(leaf) for name, leaf in leaves.items()} != wanted:
    raise ValueError(
      f'parameters are not of network {spec.network!r} with '
      f'{dict(spec.options)}'
    )
  leaves = cut(leaves, groups, kept)
  sizes = [int(kept[group.name].sum()) for group in groups]
  return channels.with_sizes(spec, sizes), trees.unflatten(leaves)


def cut(
  leaves: Mapping[str, Any],
  groups: Sequence[channels.Group],
  kept: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Returns leaves without the channels that are not kept.

  Args:
    leaves: leaves of a network, by name.
    groups: its groups of channels.
    kept: booleans `[C]` for every group, see `checked`.
  """
  leaves = dict(leaves)
  chosen: dict[tuple[str, int], np.ndarray] = {}
  for group in groups:
    for leaf, axis, offset in (*group.writes, *group.reads):
      every = np.ones(leaves[leaf].shape[axis], bool)
      mask = chosen.setdefault((leaf, axis), every)
      mask[offset : offset + group.size] = kept[group.name]
  for (leaf, axis), mask in chosen.items():
    leaves[leaf] = jnp.take(leaves[leaf], np.flatnonzero(mask), axis)
  return leaves


def checked(
  groups: tuple[channels.Group, ...], masks: Masks
) -> dict[str, np.ndarray]:
  """Returns a boolean mask for every group.

  Args:
    groups: the groups of a network.
    masks: see `sliced`.

  Raises:
    ValueError: a mask belongs to no group, has another shape or type, or keeps
      no channel.
  """
  names = [group.name for group in groups]
  unknown = sorted(set(masks) - set(names))
  if unknown:
    raise ValueError(f'masks of {unknown}: the groups are {names}')
  found = {}
  for name, size, *_ in groups:
    mask = np.asarray(masks.get(name, np.ones(size, bool)))
    if mask.dtype != bool or mask.shape != (size,):
      raise ValueError(
        f'mask of {name!r}: {mask.dtype} {mask.shape}, not bool ({size},)'
      )
    if not mask.any():
      raise ValueError(f'mask of {name!r} keeps none of {size} channels')
    found[name] = mask
  return found


def masked(
  spec: generator_lib.Spec,
) -> Callable[[types.Params, Masks, Any], jax.Array]:
  """Returns the function `(params, masks, inputs) -> outputs` of a network.

  It is differentiable in the masks, whose values are 1 and 0 in float32, `[C]`
  by name of a group. Every group needs a mask.

  Args:
    spec: the spec.

  Raises:
    ValueError: channels of the network cannot be removed.
  """
  groups = channels.groups(spec)
  base, prefix = channels.node(spec)
  joint = getattr(channels.module(base), 'norm', 'none') in _JOINT
  network = masking.with_kept(spec.build())

  def apply(params: types.Params, masks: Masks, inputs: Any) -> jax.Array:
    leaves, kept = trees.flatten(params), {}
    for group in groups:
      mask = masks[group.name]
      for leaf, axis, offset in group.reads:
        leaves[leaf] = times(leaves[leaf], mask, axis, offset)
      for leaf, _, _ in group.writes:
        layer, _, kind = leaf.removeprefix(prefix).rpartition('/')
        if joint and kind == 'scale':
          kept[layer] = mask
    params = {'base': trees.unflatten(leaves), 'kept': kept}
    return network.apply(params, inputs)

  return apply


def times(
  leaf: jax.Array, mask: jax.Array, axis: int, offset: int = 0
) -> jax.Array:
  """Multiplies what reads a map by its mask.

  Args:
    leaf: a kernel.
    mask: `[C]`.
    axis: axis of the channels, counted from the end.
    offset: index of the first channel along the axis.
  """
  every = jnp.ones(leaf.shape[axis], mask.dtype)
  every = every.at[offset : offset + mask.size].set(mask)
  shape = [1] * leaf.ndim
  shape[axis] = every.size
  return leaf * every.reshape(shape)
