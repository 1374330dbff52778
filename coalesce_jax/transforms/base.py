r"""Defines reparametrizations: maps from trained to network parameters.

.. math:: \theta = \mathrm{apply}(\text{latent}, \text{frozen})

The latent parameters are trained. The frozen parameters stay constant and cost
no optimizer state and no moving average. Networks and games see only `theta`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from coalesce_jax.core import types

Optimizers = tuple[optax.GradientTransformation, ...]


def at_once(optimizer: optax.GradientTransformation, latent: Any) -> Optimizers:
  """Returns one optimizer that updates all latent parameters."""
  del latent
  return (optimizer,)


def free(latent: Any, frozen: Any) -> Any:
  """Returns 0: no penalty."""
  del latent, frozen
  return jnp.float32(0.0)


def plain(params: types.Params) -> dict[str, dict[str, Any]]:
  """Returns no encoding."""
  del params
  return {}


class Reparam(NamedTuple):
  """A reparametrization as pure functions.

  Attributes:
    init: ``(key, params) -> (latent, frozen)``.
    apply: ``(latent, frozen) -> params``, differentiable in `latent`.
    optimizers: ``(optimizer, latent) -> optimizers``. They update `latent` in
      turns on the same batch, each with a new gradient.
    penalty: ``(latent, frozen) -> scalar``, added to the generator's loss.
    describe: ``params -> encodings`` by name, as in `Spec`. An encoding tells
      how a file may store the parameters of the network.
  """

  init: Callable[[types.PRNGKey, types.Params], tuple[Any, Any]]
  apply: Callable[[Any, Any], types.Params]
  optimizers: Callable[[optax.GradientTransformation, Any], Optimizers] = (
    at_once
  )
  penalty: Callable[[Any, Any], Any] = free
  describe: Callable[[types.Params], dict[str, dict[str, Any]]] = plain


def _same(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
  del key
  return params, ()


def _latent(latent: Any, frozen: Any) -> types.Params:
  del frozen
  return latent


_IDENTITY = Reparam(_same, _latent)


def identity() -> Reparam:
  """Returns the reparametrization that changes nothing."""
  return _IDENTITY


def start(
  reparam: Reparam, key: types.PRNGKey, params: types.Params
) -> types.Params:
  """Returns the parameters of the network before training.

  Args:
    reparam: the reparametrization.
    key: consumed.
    params: parameters that the latent parameters are made from.
  """
  return reparam.apply(*reparam.init(key, params))


def compose(outer: Reparam, inner: Reparam) -> Reparam:
  """Composes two reparametrizations: ``outer.apply`` after ``inner.apply``.

  The latent parameters of `inner` are trained.

  Args:
    outer: its result is the parameters of the network.
    inner: reparametrizes the latent parameters of `outer`.

  Raises:
    ValueError: both have optimizers of their own.
  """
  if outer == _IDENTITY:
    return inner
  if inner == _IDENTITY:
    return outer
  if outer.optimizers is not at_once and inner.optimizers is not at_once:
    raise ValueError('both reparametrizations have optimizers of their own')

  def init(key: types.PRNGKey, params: types.Params) -> tuple[Any, Any]:
    latent, frozen = outer.init(key, params)
    latent, more = inner.init(key, latent)
    return latent, (frozen, more)

  def apply(latent: Any, frozen: Any) -> types.Params:
    return outer.apply(inner.apply(latent, frozen[1]), frozen[0])

  def penalty(latent: Any, frozen: Any) -> Any:
    middle = inner.apply(latent, frozen[1])
    return outer.penalty(middle, frozen[0]) + inner.penalty(latent, frozen[1])

  def describe(params: types.Params) -> dict[str, dict[str, Any]]:
    return {**outer.describe(params), **inner.describe(params)}

  optimizers = (
    outer.optimizers if inner.optimizers is at_once else inner.optimizers
  )
  return Reparam(init, apply, optimizers, penalty, describe)
