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

from coalesce_jax.core import types
from coalesce_jax.gan import game as game_lib
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.parallel import batch_shards
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import loop
from coalesce_jax.training import scan


class Setup(NamedTuple):
  """The start of one game.

  Attributes:
    generator: parameters of G.
    critics: parameters, ensembles.stacked along K.
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
  schedule: loop.Schedule,
  spec: generator_lib.Spec,
  generator: types.Network | None = None,
  critic: types.Network | None = None,
  term: game_lib.Term | None = None,
  hooks: loop.Hooks | None = None,
  score: Callable[[Any], jax.Array] | None = None,
) -> loop.Result:
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
  state, inputs, key_run = scan.once(start)(key, *args)
  mesh = mesh_lib.fitting(math.prod(key.shape), config.batch_size)
  if mesh is None:
    return loop.drive(table, state, inputs, key_run, schedule, hooks, score)
  with mesh_lib.use(mesh):
    result = loop.drive(table, state, inputs, key_run, schedule, hooks, score)
  # What comes next runs where it would without.
  state, generator = jax.device_put(
    (result.state, result.generator), mesh.devices.flat[0]
  )
  return result._replace(state=state, generator=generator)


def together(config: game_lib.Config, spec: generator_lib.Spec) -> int | None:
  """How many members of an ensemble to compute at once; None is all."""
  values = config.batch_size * math.prod(spec.image_shape)
  return 1 if batch_shards.in_turns(values) else None


def fresh_critics(
  key: types.PRNGKey, spec: generator_lib.Spec, count: int
) -> types.Params:
  """Random critics, ensembles.stacked along K."""
  return jax.vmap(spec.build_critic().init)(jax.random.split(key, count))
