r"""Composes filters from new ones and from a frozen bank of earlier filters.

.. math:: W_t = [U_t, \; B_{t-1} A_t], \qquad B_t = [B_{t-1}, U_t]

Task t trains :math:`\lceil \lambda F \rceil` free filters U and the mixing
matrix A. The remaining filters are linear combinations of whole filters of the
bank B, which is frozen. After the task its free filters join the bank, so that
earlier tasks never change. For the first task the bank is empty and all filters
are free. Fig. 2 of Zhai et al., "Piggyback GAN",
https://arxiv.org/abs/2104.11939.

The last axis of a kernel enumerates its filters: kernels of convolutions,
transposed convolutions and dense layers alike. In the latent parameters a
factorised kernel is a dict with `free` and `mix`. All other leaves are trained
as they are. The bank is a tree of the factorised kernels alone.

A task uses the first `len(mix)` filters of a bank. A bank that has grown
therefore still serves the tasks before.

Shapes: F filters of a layer, u free ones, N filters of the bank.
"""

from collections.abc import Sequence
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import patterns
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.ops import exact
from coalesce_jax.ops import precision
from coalesce_jax.transforms import base

# Pairs of (pattern of whole leaf names, share of free filters). The first match
# wins. Leaves without a match are not factorised.
Shares = tuple[tuple[str, float], ...]
FREE, MIX = 'free', 'mix'


def check(shares: Shares) -> None:
  """Checks the shares of free filters.

  Raises:
    ValueError: a pattern is no regular expression, or a share not in [0, 1].
  """
  patterns.check((pattern for pattern, _ in shares), 'shares')
  for pattern, share in shares:
    if not 0.0 <= share <= 1.0:
      raise ValueError(f'share {share} of {pattern!r} is not in [0, 1]')


def free_count(share: float, filters: int) -> int:
  """Returns u, the share of F filters, rounded up."""
  # 0.1 * 30 exceeds 3 by a rounding error.
  return math.ceil(round(share * filters, 9))


def factorised(params: types.Params, shares: Shares) -> dict[str, float]:
  """Returns the share of free filters of each factorised leaf, by name.

  Args:
    params: parameters of a network, or their shapes.
    shares: the rules.

  Raises:
    ValueError: see `check`; a pattern matches no leaf, or one of fewer than two
      axes.
  """
  check(shares)
  names, found = trees.flatten(params), {}
  for pattern, _ in shares:
    if not any(re.fullmatch(pattern, name) for name in names):
      raise ValueError(f'pattern {pattern!r} matches none of {sorted(names)}')
  for name, leaf in names.items():
    hits = [share for p, share in shares if re.fullmatch(p, name)]
    if hits and len(leaf.shape) < 2:
      raise ValueError(f'leaf {name!r} {tuple(leaf.shape)} has no filters')
    if hits:
      found[name] = hits[0]
  return found


def empty(params: types.Params, shares: Shares) -> types.Params:
  """Returns the bank before the first task, leaves `[..., 0]`.

  Args:
    params: parameters of the network.
    shares: the rules.
  """
  leaves = trees.flatten(params)
  return trees.unflatten(
    {name: leaves[name][..., :0] for name in factorised(params, shares)}
  )


def grow(bank: types.Params, latent: Any) -> types.Params:
  """Returns the bank with the free filters of a finished task at its end.

  Args:
    bank: leaves `[..., N]`.
    latent: latent parameters of the task.

  Raises:
    ValueError: the task has other layers, or its filters another shape.
  """
  latent_leaves, grown = trees.flatten(latent), {}
  for name, filters in trees.flatten(bank).items():
    free = latent_leaves.get(f'{name}/{FREE}')
    if free is None or free.shape[:-1] != filters.shape[:-1]:
      shape = None if free is None else tuple(free.shape)
      raise ValueError(
        f'{name}: free filters {shape} do not fit the bank {filters.shape}'
      )
    xp = np if isinstance(filters, np.ndarray) else jnp
    grown[name] = xp.concatenate([filters, free], -1)
  return trees.unflatten(grown)


def bank_of(
  latents: Sequence[Any], layers: Sequence[str], like: Any = None
) -> types.Params:
  """Returns the bank after some tasks.

  Args:
    latents: latent parameters of the tasks, in order.
    layers: names of the factorised leaves.
    like: latent parameters of any task, for the shapes; None is the first of
      `latents`.
  """
  shapes = trees.flatten(latents[0] if like is None else like)
  bank = trees.unflatten({n: shapes[f'{n}/{FREE}'][..., :0] for n in layers})
  for latent in latents:
    bank = grow(bank, latent)
  return bank


def start(
  key: types.PRNGKey,
  params: types.Params,
  bank: types.Params,
  shares: Shares,
  like: Any = None,
) -> tuple[Any, types.Params]:
  """Returns latent and frozen parameters before the training of a task.

  Args:
    key: consumed.
    params: parameters of the network. Leaves that are not factorised and free
      filters start there.
    bank: leaves `[..., N]`. Where N is 0 all filters are free.
    shares: the rules.
    like: latent parameters of an earlier task. The mixing matrix then starts
      where it makes the filters of that task. With `params` of that task the
      whole network starts as it. None draws the matrix at random, such that
      filters of the bank and of `params` have the same mean square.

  Returns:
    Latent parameters, and the bank.
  """
  leaves = dict(trees.flatten(params))
  banks = trees.flatten(bank)
  earlier = None if like is None else trees.flatten(like)
  chosen = factorised(params, shares)
  if chosen.keys() != banks.keys():
    raise ValueError(
      f'the bank has layers {sorted(banks)}, the rules name {sorted(chosen)}'
    )
  for index, (name, share) in enumerate(sorted(chosen.items())):
    kernel, filters = leaves.pop(name), banks[name]
    if filters.shape[:-1] != kernel.shape[:-1]:
      raise ValueError(
        f'{name}: {kernel.shape} does not fit the bank {filters.shape}'
      )
    size = filters.shape[-1]
    u = free_count(share, kernel.shape[-1]) if size else kernel.shape[-1]
    if earlier is None or not size:
      mix = _random(jax.random.fold_in(key, index), kernel, filters, u)
    else:
      free, before = earlier[f'{name}/{FREE}'], earlier[f'{name}/{MIX}']
      mix = coordinates(free.shape[-1], before, size)[:, u:]
    leaves[f'{name}/{FREE}'] = kernel[..., :u]
    leaves[f'{name}/{MIX}'] = mix
  return trees.unflatten(leaves), bank


def _random(
  key: types.PRNGKey, kernel: jax.Array, filters: jax.Array, u: int
) -> jax.Array:
  size, rest = filters.shape[-1], kernel.shape[-1] - u
  if not size or not rest:
    return jnp.zeros((size, rest))
  wanted = jnp.sqrt(jnp.mean(kernel**2))
  # The variance of a sum of N products.
  scale = jnp.sqrt(size * jnp.mean(filters**2))
  drawn = jax.random.normal(key, (size, rest))
  return drawn * wanted / jnp.maximum(scale, 1e-12)


def coordinates(free: int, mix: jax.Array, size: int) -> jax.Array:
  """Returns the matrix that makes all filters of a task from a grown bank.

  Args:
    free: u, the number of free filters of the task. In the bank they follow the
      `len(mix)` filters that the task has mixed.
    mix: mixing matrix of the task, `[n, F - u]`.
    size: N >= n + u.

  Returns:
    `[N, F]`. Its first u columns select the free filters.
  """
  before, mixed = mix.shape
  matrix = jnp.zeros((size, free + mixed), mix.dtype)
  matrix = matrix.at[:before, free:].set(mix)
  return matrix.at[before : before + free, :free].set(jnp.eye(free))


def apply(latent: Any, bank: types.Params) -> types.Params:
  """Returns the parameters of the network of a task.

  Args:
    latent: latent parameters of the task.
    bank: leaves `[..., N]`, of which the first `len(mix)` are used.
  """
  leaves = dict(trees.flatten(latent))
  for name, filters in trees.flatten(bank).items():
    free, mix = leaves.pop(f'{name}/{FREE}'), leaves.pop(f'{name}/{MIX}')
    if mix.size:
      used = filters[..., : len(mix)].reshape(-1, len(mix))
      mixed = precision.dot(used, mix, 1, 0)
      mixed = mixed.reshape(*filters.shape[:-1], -1)
      free = jnp.concatenate([free, mixed], -1)
    leaves[name] = free
  return trees.unflatten(leaves)


def apply_exactly(latent: Any, bank: types.Params) -> types.Params:
  """Returns `apply` of NumPy arrays, with the same bits on every machine.

  Neither the device, nor the order of sums, nor filters that joined the bank
  later change the result. It differs from `apply` by rounding errors.

  Args:
    latent: latent parameters of the task.
    bank: see `apply`.
  """
  leaves = {k: np.asarray(v) for k, v in trees.flatten(latent).items()}
  for name, filters in trees.flatten(bank).items():
    free, mix = leaves.pop(f'{name}/{FREE}'), leaves.pop(f'{name}/{MIX}')
    if mix.size:
      used = np.asarray(filters)[..., : len(mix)].reshape(-1, len(mix))
      mixed = exact.product(used, mix).reshape(*filters.shape[:-1], -1)
      free = np.concatenate([free, mixed], -1)
    leaves[name] = free
  return trees.unflatten(leaves)


def randomised(key: types.PRNGKey, bank: types.Params) -> types.Params:
  """Returns a bank of random filters, each of the norm of the one it replaces.

  It is the control that separates the knowledge in a bank from its capacity.

  Args:
    key: consumed.
    bank: leaves `[..., N]`.
  """
  drawn = {}
  for index, (name, filters) in enumerate(trees.flatten(bank).items()):
    noise = jax.random.normal(jax.random.fold_in(key, index), filters.shape)
    axes = tuple(range(filters.ndim - 1))
    norms = [
      jnp.sqrt(jnp.sum(x**2, axes, keepdims=True)) for x in (filters, noise)
    ]
    drawn[name] = noise * (norms[0] / jnp.maximum(norms[1], 1e-12))
  return trees.unflatten(drawn)


def piggyback(
  bank: types.Params, shares: Shares, like: Any = None
) -> base.Reparam:
  """Returns the reparametrization of one task.

  Args:
    bank: leaves `[..., N]`. Its arrays become constants of the game.
    shares: the rules.
    like: see `start`.
  """
  check(shares)
  return base.Reparam(
    lambda key, params: start(key, params, bank, shares, like), apply
  )
