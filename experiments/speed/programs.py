"""Our side of every comparison: a game as a compiled chunk.

Shapes: B batch, N images, S members of an ensemble.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import scan
from coalesce_jax.translation import cyclegan_method
from coalesce_jax.translation import pix2pix_method
from coalesce_jax.translation import settings
from coalesce_jax.translation import training
from experiments.speed import shapes


class Program(NamedTuple):
  """A game that can be continued.

  Attributes:
    state: at the start.
    inputs: of every step.
    key: of the run.
    chunk: ``(state, inputs, key, steps) -> (state, metrics, finite)``, what
      the driver runs.
  """

  state: Any
  inputs: Any
  key: jax.Array
  chunk: Callable[..., Any]

  def run(self, steps: int) -> None:
    """Runs a chunk from the start, to its end."""
    jax.block_until_ready(self.chunk(self.state, self.inputs, self.key, steps))


def data(network: shapes.Network, seed: int, count: int = 4096) -> np.ndarray:
  """8-bit images `[N, H, W, C]`; what they show does not matter for time."""
  shape = (count, network.size, network.size, network.channels)
  return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def pretraining(
  network: shapes.Network,
  config: game_lib.Config,
  images: np.ndarray,
  seed: int,
  members: int = 0,
  devices: Sequence[jax.Device] = (),
) -> Program:
  """One generator and critic, or an ensemble of them.

  Args:
    network: sizes.
    config: of the game.
    images: `[N, H, W, C]`, read by every member.
    seed: of parameters and random numbers.
    members: S; 0 is one model without an ensemble axis.
    devices: that share the members, then the batch; none is the first alone.
  """
  return _program(
    network, config, 1, seed, members,
    lambda key: sources.array(jnp.asarray(images)), devices,
  )  # fmt: skip


def barycenter(
  network: shapes.Network,
  config: game_lib.Config,
  nodes: int,
  seed: int,
  members: int = 0,
) -> Program:
  """One generator against K frozen ones, one critic each.

  Args:
    network: sizes.
    config: of the game.
    nodes: K.
    seed: of parameters and random numbers.
    members: S; 0 is one model without an ensemble axis.
  """
  generator = network.spec().build()

  def source(key: jax.Array) -> sources.Source:
    params = jax.vmap(generator.init)(jax.random.split(key, nodes))
    return sources.generators(generator, params, network.latent_size)

  return _program(network, config, nodes, seed, members, source)


def translation(
  method: str,
  config: settings.Translation,
  images: training.Data,
  seed: int,
  members: int = 0,
) -> Program:
  """A method of image translation.

  Args:
    method: one of `TRANSLATIONS`.
    config: settings of the method.
    images: of both domains, read by every member.
    seed: of parameters and random numbers.
    members: S; 0 is one model without an ensemble axis.
  """
  problem = TRANSLATIONS[method](images, config)
  key = jax.random.key(seed)
  if members:
    key = jax.random.split(key, members)
  args = problems.for_seeds(problem.args, key)
  ready = runner.started(
    key, problem.setup, args, problem.method, problem.hyper
  )
  how = ready.schedule
  chunk = scan.compiled(
    ready.game.task, bool(members), None, how.at_once, how.fast_compile
  )
  return Program(ready.state, ready.inputs, ready.key, chunk)


def _program(
  network: shapes.Network,
  config: game_lib.Config,
  critics: int,
  seed: int,
  members: int,
  source: Callable[[jax.Array], sources.Source],
  devices: Sequence[jax.Device] = (),
) -> Program:
  key = jax.random.key(seed)
  batched = bool(members)
  if batched:
    key = jax.random.split(key, members)
  # Rounding is of the steps alone.
  exact = dataclasses.replace(config, precision='float32')
  spec = network.spec()
  prior = sources.normal(spec.latent_size)

  def inputs_of(key: jax.Array) -> Any:
    return game_lib.inputs((source(key),), prior=prior)

  def key_of_source(key: jax.Array) -> jax.Array:
    return jax.random.split(key, 4)[2]

  key_source = (jax.vmap(key_of_source) if batched else key_of_source)(key)
  inputs = (jax.vmap(inputs_of) if batched else inputs_of)(key_source)
  state, key = _start(network, exact, critics, batched)(key, inputs)
  at_once = runner.together(config, spec.image_shape) if members > 1 else None
  with mesh_lib.use(devices):
    mesh = mesh_lib.fitting(max(members, 1), config.batch_size)
  if mesh is not None:
    sharded = _game(network, config).task.sharded
    state, inputs, key = mesh_lib.place(
      (state, inputs, key), mesh, batched, sharded
    )
  chunk = scan.compiled(_game(network, config).task, batched, mesh, at_once)
  return Program(state, inputs, key, chunk)


def _game(network: shapes.Network, config: game_lib.Config) -> game_lib.Game:
  spec = network.spec()
  return game_lib.make(
    config, generator=spec.build(), critic=spec.build_critic()
  )


@functools.lru_cache(maxsize=16)
def _start(
  network: shapes.Network, config: game_lib.Config, critics: int, batched: bool
) -> Callable[[jax.Array, Any], tuple[Any, jax.Array]]:
  """Compiled once: ``(key, inputs) -> (state, key of the run)``."""
  spec = network.spec()
  generator, critic = spec.build(), spec.build_critic()

  def start(key: jax.Array, inputs: Any) -> tuple[Any, jax.Array]:
    key_start, key_critics, _, key_run = jax.random.split(key, 4)
    many = jax.vmap(critic.init)(jax.random.split(key_critics, critics))
    params = generator.init(key_start)
    state = _game(network, config).task.init(key_start, params, many, inputs)
    return state, key_run

  return scan.once(jax.vmap(start) if batched else start)


TRANSLATIONS: dict[str, Callable[..., problems.Problem]] = {
  'pix2pix': pix2pix_method.problem,
  'cyclegan': cyclegan_method.problem,
}
