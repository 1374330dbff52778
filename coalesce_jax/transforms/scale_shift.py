r"""Scales and shifts frozen, normalised filters.

.. math:: W_t = \Gamma_t \odot \frac{W - M}{S} + B_t

W are the filters of a base network, M and S their means and standard
deviations. A task trains :math:`\Gamma` and B, which start at S and M, so that
training starts from the base network. Cong et al., "GAN Memory with no
forgetting", https://arxiv.org/abs/2006.07543, after Zhao et al., "On leveraging
pretrained GANs for generation with limited data" (AdaFM),
https://arxiv.org/abs/2002.11810.

Statistics are those of one pair of an input and an output channel of a
convolution ('pair', as published), or those of a whole filter ('filter', as
published for dense layers). A kernel of two axes is always 'filter'.

Modulations of pairs may have a low rank, :math:`\Gamma = S + L R^T`. GAN Memory
compresses its modulations by truncated singular values after training; here
they are trained in this form.

Shapes: k kernel, C input channels, F filters, r rank.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import patterns
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.transforms import base

GRANULARITIES = ('pair', 'filter')
_PARTS = ('scale', 'shift')


@functools.lru_cache(maxsize=64)
def scale_shift(
  leaves: tuple[tuple[str, str], ...] = (('.*kernel', 'pair'),),
  rank: int = 0,
) -> base.Reparam:
  """Returns the reparametrization of one task.

  In the latent parameters a modulated kernel is a dict with `scale` and
  `shift`: `[C, F]` for pairs, `[F]` for filters. With a rank, those of pairs
  are dicts with `left`, `[C, r]`, and `right`, `[r, F]`. All leaves without a
  match are trained as they are.

  Args:
    leaves: pairs of (pattern of whole leaf names, granularity); the first match
      wins. A kernel with other axes than `[k, k, C, F]` needs 'filter'.
    rank: r; 0 trains full matrices.

  Raises:
    ValueError: a granularity is unknown, or the rank negative; at `init`, a
      pattern matches no leaf.
  """
  patterns.check((pattern for pattern, _ in leaves), 'modulated leaves')
  for _, granularity in leaves:
    if granularity not in GRANULARITIES:
      raise ValueError(f'{granularity!r} is not one of {GRANULARITIES}')
  if rank < 0:
    raise ValueError(f'rank {rank} is negative')

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    labels = trees.flatten(trees.label(params, leaves, 'free'))
    latent, frozen = dict(trees.flatten(params)), {}
    for index, (name, granularity) in enumerate(labels.items()):
      if granularity == 'free':
        continue
      kernel = latent.pop(name)
      axes = _axes(kernel, granularity)
      mean = jnp.mean(kernel, axes, keepdims=True)
      deviation = jnp.std(kernel, axes, keepdims=True)
      frozen[f'{name}/normal'] = (kernel - mean) / jnp.maximum(deviation, 1e-8)
      compressed = rank and granularity == 'pair' and kernel.ndim > 2
      for part, start in zip(_PARTS, (deviation, mean), strict=True):
        start = jnp.squeeze(start, axes)
        if not compressed:
          latent[f'{name}/{part}'] = start
          continue
        frozen[f'{name}/{part}'] = start
        drawn = jax.random.fold_in(key, 2 * index + _PARTS.index(part))
        left = jax.random.normal(drawn, (start.shape[0], rank))
        latent[f'{name}/{part}/left'] = left / jnp.sqrt(rank)
        latent[f'{name}/{part}/right'] = jnp.zeros((rank, start.shape[1]))
    return trees.unflatten(latent), trees.unflatten(frozen)

  return base.Reparam(init, apply)


def apply(latent: Any, frozen: Any) -> types.Params:
  """Returns the parameters of the network, see `scale_shift`."""
  leaves, constants = dict(trees.flatten(latent)), trees.flatten(frozen)
  for place, normal in constants.items():
    if not place.endswith('/normal'):
      continue
    name = place.removesuffix('/normal')
    scale, shift = (
      _spread(_modulation(leaves, constants, f'{name}/{part}'), normal)
      for part in _PARTS
    )
    leaves[name] = scale * normal + shift
  return trees.unflatten(leaves)


def _modulation(leaves: Any, constants: Any, name: str) -> jax.Array:
  if name in leaves:
    full: jax.Array = leaves.pop(name)
    return full
  left, right = leaves.pop(f'{name}/left'), leaves.pop(f'{name}/right')
  low: jax.Array = constants[name] + jnp.matmul(
    left, right, precision='highest'
  )
  return low


def _spread(values: jax.Array, kernel: jax.Array) -> jax.Array:
  """Gives `[F]` or `[C, F]` the number of axes of a kernel."""
  return values.reshape((1,) * (kernel.ndim - values.ndim) + values.shape)


def _axes(kernel: jax.Array, granularity: str) -> tuple[int, ...]:
  kept = 2 if granularity == 'pair' and kernel.ndim > 2 else 1
  return tuple(range(kernel.ndim - kept))
