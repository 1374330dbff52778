"""Defines the constant inputs of a game and its changing state.

Shapes: K critics. Distances are in the units of the samples.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from coalesce_jax.gan import sources as sources_lib


class Inputs(NamedTuple):
  """The data of a game, constant during a run.

  Attributes:
    prior: source of what the generator starts from, such as latents. A draw may
      be any pytree, such as condition and target images.
    sources: sources that feed K critics together.
    held_out: sources of the same K, for the distance estimates.
    weights: lambda, `[K]`.
    radii: eta, `[K]`, in the units of the samples, for objectives that need
      radii. The first one is not used.
    generator_rate: multiplies the generator's updates; 0 keeps it constant.
    critic_rate: multiplies the critics' updates.
    warmup: number of steps at the start that update only the critics.
    terms: data of the loss terms, by name.
  """

  prior: sources_lib.Source
  sources: tuple[sources_lib.Source, ...]
  held_out: tuple[sources_lib.Source, ...]
  weights: jax.Array
  radii: jax.Array
  generator_rate: jax.Array
  critic_rate: jax.Array
  warmup: jax.Array
  terms: Mapping[str, Any]


class State(NamedTuple):
  """Everything that changes during a run, and the frozen parameters.

  Attributes:
    step: generator updates done, `[]` int32.
    generator: latent parameters of the generator, which are trained.
    frozen: parameters of the generator that are not trained.
    ema: moving average of `generator`.
    critics: latent parameters of the critics, stacked along K.
    critics_frozen: parameters of the critics that are not trained, stacked.
    generator_optimizer: one Adam state for each optimizer of the
      reparametrization.
    critic_optimizer: Adam state of the stacked critics.
    w1: moving average of the distance estimates, `[K]`, without bias
      correction.
    start_w1: bias-corrected `w1` at the end of the warm-up, `[K]`. If a run
      starts at one of two sources, the larger entry estimates the distance
      between the sources.
    objective: state of the objective, such as multipliers `[K]`.
    buffer: state of the buffer of fakes.
  """

  step: jax.Array
  generator: Any
  frozen: Any
  ema: Any
  critics: Any
  critics_frozen: Any
  generator_optimizer: Any
  critic_optimizer: Any
  w1: jax.Array
  start_w1: jax.Array
  objective: Any
  buffer: Any


# Fields of `State` and `Inputs` whose leaves have a leading axis K.
SHARDED = tuple(
  (name, 'critics')
  for name in (
    'critics', 'critics_frozen', 'critic_optimizer', 'w1', 'start_w1',
    'objective', 'weights', 'radii',
  )
)  # fmt: skip


def inputs(
  sources: tuple[sources_lib.Source, ...],
  *,
  prior: sources_lib.Source,
  held_out: tuple[sources_lib.Source, ...] | None = None,
  weights: Any = None,
  radii: Any = None,
  generator_rate: Any = 1.0,
  critic_rate: Any = 1.0,
  warmup: Any = 0,
  terms: Mapping[str, Any] | None = None,
) -> Inputs:
  """Returns the inputs of a game, with defaults.

  Args:
    sources: see `Inputs`, as for all arguments.
    prior: source of what the generator starts from.
    held_out: None estimates distances on fresh samples of `sources`.
    weights: None is equal weights that sum to 1.
    radii: None is zeros.
    generator_rate: multiplies the generator's updates.
    critic_rate: multiplies the critics' updates.
    warmup: number of steps that update only the critics.
    terms: None is no data.
  """
  count = sources_lib.total(sources)
  if weights is None:
    weights = jnp.full((count,), 1.0 / count)
  radii = jnp.zeros(count) if radii is None else radii
  return Inputs(
    prior=prior,
    sources=sources,
    held_out=sources if held_out is None else held_out,
    weights=jnp.asarray(weights, jnp.float32),
    radii=jnp.asarray(radii, jnp.float32),
    generator_rate=jnp.asarray(generator_rate, jnp.float32),
    critic_rate=jnp.asarray(critic_rate, jnp.float32),
    warmup=jnp.asarray(warmup, jnp.int32),
    terms={} if terms is None else dict(terms),
  )
