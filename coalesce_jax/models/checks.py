"""Checks of what several generators must have in common.

Shapes: K input generators.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from coalesce_jax.core import real_arrays
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry

# Fields of a spec that are no part of the generator's architecture.
_MAY_DIFFER = ('critic', 'critic_options', 'encodings', 'provenance')


def same_architecture(
  generators: Sequence[generator_lib.Generator],
  names: Sequence[str] | None = None,
) -> generator_lib.Spec:
  """Returns the spec of the first generator if all have its architecture.

  Critics, encodings and provenance may differ.

  Args:
    generators: K generators.
    names: names of the generators for the message, such as their files.

  Returns:
    The spec of the first generator without encodings and provenance.

  Raises:
    ValueError: the architectures differ, or K is 0.
  """
  if not generators:
    raise ValueError('no generators given')
  first = generators[0].spec
  for i, generator in enumerate(generators):
    makes_images_of_latents(generator.spec, _name(names, i))
  for i, other in enumerate(generators[1:], 1):
    for field in dataclasses.fields(first):
      value, expected = (getattr(s, field.name) for s in (other.spec, first))
      if field.name not in _MAY_DIFFER and value != expected:
        raise ValueError(
          f'{_name(names, i)} has {field.name} {_short(value)}, '
          f'{_name(names, 0)} has {_short(expected)}: all must share one '
          'architecture'
        )
  return dataclasses.replace(first, provenance={}, encodings={})


def makes_images_of_latents(spec: generator_lib.Spec, name: str) -> None:
  """Checks that a spec is of a generator of latents and of no translator.

  Args:
    spec: the spec.
    name: name of its file, for the message.

  Raises:
    ValueError: it is of a translator.
  """
  if spec.condition_shape is not None:
    raise ValueError(
      f'{name}: translates images and makes none of latents; '
      '`coalesce translate` uses it'
    )


def same_samples(
  generators: Sequence[generator_lib.Generator],
  names: Sequence[str] | None = None,
) -> tuple[int, ...]:
  """Returns the shape of one sample if it is the same for all generators.

  Args:
    generators: K generators.
    names: names of the generators for the message, such as their files.

  Raises:
    ValueError: the shapes differ, or K is 0.
  """
  if not generators:
    raise ValueError('no generators given')
  first = generators[0].spec.image_shape
  for i, other in enumerate(generators[1:], 1):
    if other.spec.image_shape != first:
      raise ValueError(
        f'{_name(names, i)} makes samples {other.spec.image_shape}, '
        f'{_name(names, 0)} makes {first}: all must make samples of one shape'
      )
  return first


def usable(
  generator: generator_lib.Generator, name: str
) -> generator_lib.Generator:
  """Returns a generator after checking a few samples, see `usable_samples`.

  Args:
    generator: a generator without replicas.
    name: name of its file, for the message.

  Raises:
    ValueError: samples are not finite, or saturated.
  """
  usable_samples(generator.sample(jax.random.key(0), 8), name)
  return generator


def usable_samples(samples: Any, name: str) -> np.ndarray:
  """Returns samples as an array if they are finite and not one flat image.

  Finite parameters can be so large that a network overflows, or that every
  pixel is at one bound of [-1, 1].

  Args:
    samples: `[N, ...]`.
    name: what made them, for the message.

  Raises:
    ValueError: samples are not finite, or all their pixels are at one bound.
  """
  array = np.asarray(samples)
  finite = np.isfinite(array).reshape(len(array), -1).all(1)
  if not finite.all():
    raise ValueError(
      f'{name}: {int((~finite).sum())} of {len(array)} samples are not finite; '
      'its parameters are unusable'
    )
  if array.ndim == 4 and np.ptp(array) == 0.0 and abs(array.flat[0]) == 1.0:
    raise ValueError(
      f'{name}: every pixel of {len(array)} samples is {array.flat[0]:g}; its '
      'parameters are unusable'
    )
  return array


def _name(names: Sequence[str] | None, index: int) -> str:
  return names[index] if names else f'generator {index}'


def _short(value: Any) -> str:
  """Writes options as `width 4, norm pixel`, and another value as it is."""
  if isinstance(value, tuple) and value and isinstance(value[0], tuple):
    return ', '.join(f'{key} {each}' for key, each in value)
  return str(value)


def samples_of(shape: tuple[int, ...]) -> str:
  """Says what samples of a shape are: 'images (8, 8, 1)', 'points of R^2'."""
  if len(shape) == 3:
    return f'images {shape}'
  return f'points of R^{shape[0]}' if len(shape) == 1 else f'arrays {shape}'


def images_only(shape: tuple[int, ...], name: str, need: str) -> None:
  """Checks that a generator makes images.

  Args:
    shape: shape of one sample of the generator.
    name: name of the generator for the message, such as its file.
    need: what images are needed for.

  Raises:
    ValueError: it makes something else.
  """
  if len(shape) != 3:
    raise ValueError(f'{name}: makes {samples_of(shape)}, not images; {need}')


def with_critic(spec: generator_lib.Spec) -> generator_lib.Spec:
  """Returns the spec with a critic and without encodings.

  A spec that names no critic gets one with the options of its generator. The
  critic of a mixture is the one that transports its latents, or else one with
  the options of its input generators.
  """
  makes_images_of_latents(spec, 'this network')
  spec = dataclasses.replace(spec, encodings={})
  if spec.critic is not None:
    return spec
  critic, options = registry.critic_like(spec.network, dict(spec.options))
  return dataclasses.replace(
    spec, critic=critic, critic_options=generator_lib.freeze(options)
  )


def check_weights(weights: Any, count: int) -> np.ndarray:
  """Returns mixing weights as `[K]` float64.

  Args:
    weights: K numbers, or None for equal weights.
    count: K.

  Raises:
    ValueError: there are not K weights, K is 0, one is no real number or
      negative, or their sum differs from 1 by more than 1e-6.
  """
  if not count:
    raise ValueError('no generators given')
  if weights is None:
    return np.full(count, 1.0 / count)
  array = real_arrays.convert(weights, 'weights')
  if array.shape != (count,):
    raise ValueError(f'{array.size} weights for {count} generators')
  if not np.all(np.isfinite(array)) or np.any(array < 0.0):
    raise ValueError(f'weights {array.tolist()} must be finite, at least 0')
  if abs(array.sum() - 1.0) > 1e-6:
    raise ValueError(
      f'weights {array.tolist()} sum to {array.sum():.9g}, not to 1'
    )
  return array
