"""Pretrained generators: a network, its parameters, and what they promise."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.networks import registry

Options = tuple[tuple[str, Any], ...]


def freeze(options: Mapping[str, Any]) -> Options:
  """A mapping as a hashable, sorted tuple of pairs."""
  return tuple(sorted(options.items()))


@dataclasses.dataclass(frozen=True)
class Spec:
  """What a generator is, enough to rebuild its networks by name.

  Attributes:
    network: registered name of the generator network.
    options: its keyword options, as pairs.
    latent_size: Z; latents are standard normal.
    image_shape: shape of one sample, `(H, W, C)` for images in [-1, 1], `(D,)`
      for plain vectors.
    critic: registered name of the critic that came with it, or None.
    critic_options: the critic's keyword options, as pairs.
    encodings: how a bundle holds leaves in fewer bits than float32: description
      by name of the encoding, see `models.encodings`. That of 'ternary' has the
      keys `scheme`, `granularity` and `leaves`.
    provenance: free text by key: data set, classes, stage, seed, versions.
  """

  network: str
  latent_size: int
  image_shape: tuple[int, ...]
  options: Options = ()
  critic: str | None = None
  critic_options: Options = ()
  encodings: Mapping[str, Mapping[str, Any]] = dataclasses.field(
    default_factory=dict
  )
  provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    if not 1 <= self.latent_size <= registry.MAX_LATENT_SIZE:
      raise ValueError(
        f'latent_size {self.latent_size} is not in '
        f'[1, {registry.MAX_LATENT_SIZE}]'
      )

  def build(self) -> types.Network:
    """The generator network."""
    return registry.generator(
      self.network,
      latent_size=self.latent_size,
      data_shape=self.image_shape,
      **dict(self.options),
    )

  def build_critic(self) -> types.Network:
    """The critic network; ValueError if the spec names none."""
    if self.critic is None:
      raise ValueError('this generator came without a critic')
    return registry.critic(
      self.critic, data_shape=self.image_shape, **dict(self.critic_options)
    )


class Generator(NamedTuple):
  """A generator ready to sample from.

  Attributes:
    network: `Network(init, apply)` from latents to samples.
    params: its parameters; ternarized leaves hold their dense ternary values.
    spec: what it is.
    critic: parameters of the critic it was trained against, or None.
  """

  network: types.Network
  params: types.Params
  spec: Spec
  critic: types.Params | None = None

  def sample(self, key: types.PRNGKey, n: int, batch: int = 500) -> jax.Array:
    """Draws `n` samples, `[n, *image_shape]`.

    Args:
      key: consumed.
      n: number of samples, at least 1.
      batch: largest number computed at once; does not change the samples.
    """
    if n < 1:
      raise ValueError(f'cannot draw {n} samples')
    z = jax.random.normal(key, (n, self.spec.latent_size))
    apply = _jitted(self.network.apply)
    parts = [
      apply(self.params, _pad(z[i : i + batch], min(n, batch)))
      for i in range(0, n, batch)
    ]
    return jnp.concatenate(parts)[:n]


def create(
  spec: Spec, params: types.Params, critic: types.Params | None = None
) -> Generator:
  """A `Generator` whose network is rebuilt from the spec."""
  return Generator(spec.build(), params, spec, critic)


@functools.lru_cache(maxsize=64)
def _jitted(apply):
  return jax.jit(apply)


def _pad(z: jax.Array, size: int) -> jax.Array:
  return jnp.pad(z, ((0, size - len(z)), (0, 0)))
