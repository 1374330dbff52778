"""Checks of what several generators must have in common.

Shapes: K generators.
"""

import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry


def same_architecture(
  members: list[generator_lib.Generator],
) -> generator_lib.Spec:
  """The spec that all generators share, without their provenance.

  Raises:
    ValueError: architectures differ, or there is none.
  """
  if not members:
    raise ValueError('no generators given')

  def strip(spec: generator_lib.Spec) -> generator_lib.Spec:
    return dataclasses.replace(spec, provenance={}, encodings={})

  first = strip(members[0].spec)
  for i, other in enumerate(members[1:], 1):
    spec = strip(other.spec)
    for field in dataclasses.fields(spec):
      mine, theirs = getattr(first, field.name), getattr(spec, field.name)
      if field.name not in ('critic', 'critic_options') and mine != theirs:
        raise ValueError(
          f'generator {i} has {field.name} {theirs}, generator 0 has {mine}: '
          'all must share one architecture'
        )
  return first


def same_samples(members: list[generator_lib.Generator]) -> tuple[int, ...]:
  """The shape of the samples that all generators make.

  Raises:
    ValueError: shapes differ, or there is no generator.
  """
  if not members:
    raise ValueError('no generators given')
  first = members[0].spec.image_shape
  for i, other in enumerate(members[1:], 1):
    if other.spec.image_shape != first:
      raise ValueError(
        f'generator {i} has image_shape {other.spec.image_shape}, generator 0 '
        f'has {first}: all must make samples of one shape'
      )
  return first


def with_critic(spec: generator_lib.Spec) -> generator_lib.Spec:
  """The spec with a critic: its own, or one like its generator.

  Of a mixture that is the one that moves its samples, or one like its nodes.
  """
  spec = dataclasses.replace(spec, encodings={})
  if spec.critic is not None:
    return spec
  critic, options = registry.critic_like(spec.network, dict(spec.options))
  return dataclasses.replace(
    spec, critic=critic, critic_options=generator_lib.freeze(options)
  )


def check_weights(weights: Any, count: int) -> np.ndarray:
  """Weights as `[K]` float64; equal ones for None.

  Raises:
    ValueError: wrong length, a negative weight, or a sum other than 1.
  """
  if weights is None:
    return np.full(count, 1.0 / count)
  array = np.asarray(weights, np.float64)
  if array.shape != (count,):
    raise ValueError(f'{array.size} weights for {count} generators')
  if not np.all(np.isfinite(array)) or np.any(array < 0.0):
    raise ValueError(f'weights {array.tolist()} must be finite, at least 0')
  if abs(array.sum() - 1.0) > 1e-6:
    raise ValueError(
      f'weights {array.tolist()} sum to {array.sum():.6g}, not to 1'
    )
  return array
