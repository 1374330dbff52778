"""Generators: a network, its parameters, and the spec that rebuilds it.

The spec of a translator, see `translator`, has a condition instead of latents.

Shapes: Z latent, H, W, C image, D dimensions of a plain vector.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.networks import registry
from coalesce_jax.networks import translators

Options = tuple[tuple[str, Any], ...]


def freeze(options: Mapping[str, Any]) -> Options:
  """Returns a mapping as a hashable tuple of pairs, sorted by name."""
  return tuple(sorted(options.items()))


@dataclasses.dataclass(frozen=True)
class Spec:
  """Describes a generator; its networks can be rebuilt from the spec.

  Specs can be hashed.

  Attributes:
    network: registered name of the generator network.
    latent_size: Z. Latents are standard normal. 0 for a translator.
    image_shape: shape of one sample: `(H, W, C)` for images in [-1, 1], `(D,)`
      for plain vectors.
    options: keyword options of the network, as pairs.
    critic: registered name of the critic that the generator was trained
      against, or None.
    critic_options: keyword options of the critic, as pairs.
    encodings: how a bundle holds leaves in fewer bits than float32. Maps the
      name of an encoding to its description, see `models.encodings`. The
      description of 'ternary' has the keys `scheme`, `granularity` and
      `leaves`.
    provenance: free text by key, such as data set, classes, stage and seed.
    condition_shape: `(H, W, C)` of images that a translator was trained on; it
      takes other sides too. None for a generator of latents.
  """

  network: str
  latent_size: int
  image_shape: tuple[int, ...]
  options: Options = ()
  critic: str | None = None
  critic_options: Options = ()
  encodings: Mapping[str, Mapping[str, Any]] = dataclasses.field(
    default_factory=dict, hash=False
  )
  provenance: Mapping[str, str] = dataclasses.field(
    default_factory=dict, hash=False
  )
  condition_shape: tuple[int, ...] | None = None

  def __post_init__(self):
    if self.condition_shape is not None:
      if self.latent_size:
        raise ValueError(f'latent_size {self.latent_size} of a translator')
      if len(self.condition_shape) != 3 or len(self.image_shape) != 3:
        raise ValueError(
          f'translator from {self.condition_shape} to {self.image_shape}: '
          'both are (H, W, C)'
        )
    elif not 1 <= self.latent_size <= registry.MAX_LATENT_SIZE:
      raise ValueError(
        f'latent_size {self.latent_size} is not in '
        f'[1, {registry.MAX_LATENT_SIZE}]'
      )

  def build(self) -> types.Network:
    """Builds the generator network.

    Raises:
      ValueError: an unknown network, or options out of bounds.
    """
    if self.condition_shape is not None:
      return translators.translator(
        self.network,
        in_channels=self.condition_shape[-1],
        out_channels=self.image_shape[-1],
        **dict(self.options),
      )
    return registry.generator(
      self.network,
      latent_size=self.latent_size,
      data_shape=self.image_shape,
      **dict(self.options),
    )

  def build_critic(self) -> types.Network:
    """Builds the critic network.

    Raises:
      ValueError: no or an unknown critic, or options out of bounds.
    """
    if self.critic is None:
      raise ValueError('this generator came without a critic')
    return registry.critic(
      self.critic, data_shape=self.image_shape, **dict(self.critic_options)
    )


class Generator(NamedTuple):
  """Holds what sampling needs.

  Attributes:
    network: `Network(init, apply)` from latents to samples.
    params: parameters of the network. Leaves with an encoding hold dense values
      too.
    spec: the spec of the network and its critic.
    critic: parameters of the critic that the generator was trained against, or
      None.
  """

  network: types.Network
  params: types.Params
  spec: Spec
  critic: types.Params | None = None

  def sample(self, key: types.PRNGKey, n: int, batch: int = 500) -> jax.Array:
    """Draws `n` samples.

    Args:
      key: consumed.
      n: number of samples, at least 1.
      batch: the most samples that are computed at once. It does not change the
        samples.

    Returns:
      Samples, `[n, *image_shape]`.

    Raises:
      ValueError: `n` is below 1, or `key` is no random key.
    """
    if n < 1:
      raise ValueError(f'cannot draw {n} samples')
    key = keys_lib.typed(key, 0)
    z = jax.random.normal(key, (n, self.spec.latent_size))
    apply = jitted(self.network.apply)
    parts = [
      apply(self.params, _pad(z[i : i + batch], min(n, batch)))
      for i in range(0, n, batch)
    ]
    return jnp.concatenate(parts)[:n]


def create(
  spec: Spec, params: types.Params, critic: types.Params | None = None
) -> Generator:
  """Makes a `Generator` with the network of the spec.

  Args:
    spec: the spec.
    params: parameters of its network.
    critic: parameters of its critic, or None.

  Raises:
    ValueError: an unknown network, or options out of bounds.
  """
  return Generator(spec.build(), params, spec, critic)


@functools.lru_cache(maxsize=64)
def jitted(apply: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a compiled function; equal arguments give the same one."""
  return jax.jit(apply)


def _pad(z: jax.Array, size: int) -> jax.Array:
  return jnp.pad(z, ((0, size - len(z)), (0, 0)))
