"""What every stage does: set up one member, play the game, wrap the result.

A stage is a pure function that sets up one game, ``setup(key, *args) ->
Setup``. Played with a batch of S keys, every array in `args` carries a leading
axis S and the whole ensemble is one program.

Shapes: K critics, S members of an ensemble.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax import chunks
from coalesce_jax import driver
from coalesce_jax import game as game_lib
from coalesce_jax import generators
from coalesce_jax import sharding
from coalesce_jax import shares
from coalesce_jax import sources
from coalesce_jax import trees
from coalesce_jax import types
from coalesce_jax.networks import registry

# Name of a part of a stage -> its effects.
HooksFor = Callable[[str], driver.Hooks]
History = dict[str, np.ndarray]
# Local samples are padded to so many rows where all of them take at most so
# many bytes.
PADDED_ROWS, PADDED_BYTES = 1024, 2**22


class Setup(NamedTuple):
  """The start of one game.

  Attributes:
    generator: parameters of G.
    critics: parameters, stacked along K.
    inputs: what the game plays with.
  """

  generator: Any
  critics: Any
  inputs: game_lib.Inputs


def play(
  key: types.PRNGKey,
  setup: Callable[..., Setup],
  args: tuple[Any, ...],
  *,
  config: game_lib.Config,
  schedule: driver.Schedule,
  spec: generators.Spec,
  generator: types.Network | None = None,
  critic: types.Network | None = None,
  term: game_lib.Term | None = None,
  hooks: driver.Hooks | None = None,
  score: Callable[[Any], jax.Array] | None = None,
) -> driver.Result:
  """Sets up one game, or an ensemble of them, and plays it.

  Args:
    key: one key, or `[S]` keys; consumed.
    setup: pure, for one member.
    args: of `setup`, after its key.
    config: of the game.
    schedule: of the driver.
    spec: names generator and critic.
    generator: replaces the network of `spec` (a transformed one).
    critic: likewise.
    term: an additional generator loss.
    hooks: effects.
    score: for early stopping.
  """
  spec_generator = spec.build() if generator is None else generator
  table = game_lib.make(
    config,
    generator=spec_generator,
    critic=spec.build_critic() if critic is None else critic,
    latent_size=spec.latent_size,
    term=term,
  )

  def start(key: types.PRNGKey, *args: Any) -> tuple[Any, ...]:
    key_setup, key_run = jax.random.split(key)
    made = setup(key_setup, *args)
    return table.init(made.generator, made.critics), made.inputs, key_run

  if schedule.at_once is None:
    schedule = dataclasses.replace(schedule, at_once=together(config, spec))
  start = jax.vmap(start) if key.ndim else start
  state, inputs, key_run = chunks.once(start)(key, *args)
  mesh = sharding.fitting(math.prod(key.shape), config.batch_size)
  if mesh is None:
    return driver.drive(table, state, inputs, key_run, schedule, hooks, score)
  with sharding.use(mesh):
    result = driver.drive(table, state, inputs, key_run, schedule, hooks, score)
  # What comes next runs where it would without.
  state, generator = jax.device_put(
    (result.state, result.generator), mesh.devices.flat[0]
  )
  return result._replace(state=state, generator=generator)


def together(config: game_lib.Config, spec: generators.Spec) -> int | None:
  """How many members of an ensemble to compute at once; None is all."""
  values = config.batch_size * math.prod(spec.image_shape)
  return 1 if shares.in_turns(values) else None


def held_out(count: int, fraction: float) -> int:
  """How many of so many samples are held out: one at least, or none for 0."""
  return min(count - 1, max(1, round(fraction * count))) if fraction else 0


def split_held_out(
  images: Any, fraction: float
) -> tuple[sources.Source, sources.Source]:
  """The first rows to learn from, the last ones to measure on.

  Args:
    images: `[N, ...]`.
    fraction: of N that is held out, at least one sample; 0 measures on the
      training samples.
  """
  n = images.shape[0]
  held = held_out(n, fraction)
  if not held:
    return _few(images), _few(images)
  return _few(images[: n - held]), _few(images[n - held :])


def _few(images: Any) -> sources.Source:
  """Their source, padded where that is small: one program for any number."""
  n, *shape = images.shape
  rows = max(n, PADDED_ROWS)
  if rows * math.prod(shape) * images.dtype.itemsize > PADDED_BYTES:
    return sources.array(images)
  padding = [(0, rows - n)] + [(0, 0)] * len(shape)
  return sources.array(jnp.pad(images, padding), n)


def fresh_critics(
  key: types.PRNGKey, spec: generators.Spec, count: int
) -> types.Params:
  """Random critics, stacked along K."""
  return jax.vmap(spec.build_critic().init)(jax.random.split(key, count))


def same_architecture(members: list[generators.Generator]) -> generators.Spec:
  """The spec that all generators share, without their provenance.

  Raises:
    ValueError: architectures differ, or there is none.
  """
  if not members:
    raise ValueError('no generators given')

  def strip(spec: generators.Spec) -> generators.Spec:
    return dataclasses.replace(spec, provenance={}, ternary=None)

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


def same_samples(members: list[generators.Generator]) -> tuple[int, ...]:
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


def with_critic(spec: generators.Spec) -> generators.Spec:
  """The spec with a critic: its own, or one like its generator.

  Of a mixture that is the one that moves its samples, or one like its nodes.
  """
  spec = dataclasses.replace(spec, ternary=None)
  if spec.critic is not None:
    return spec
  critic, options = registry.critic_like(spec.network, dict(spec.options))
  return dataclasses.replace(
    spec, critic=critic, critic_options=generators.freeze(options)
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


def hooks_for(hooks: HooksFor | None, part: str) -> driver.Hooks | None:
  """The effects of one part of a stage."""
  return None if hooks is None else hooks(part)


def first_critic(critics: Any, batched: bool) -> Any:
  """Critic 0 of a final state, with the ensemble axis kept."""
  index = (lambda c: c[:, 0]) if batched else (lambda c: c[0])
  return jax.tree.map(index, critics)


def stacked(
  members: list[generators.Generator], batched: bool, field: str = 'params'
) -> Any:
  """Parameters of K generators along an axis K, after S where batched."""
  tree = trees.stack([getattr(m, field) for m in members])
  if not batched:
    return tree
  return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)
