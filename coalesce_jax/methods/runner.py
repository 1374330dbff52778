"""Runs a method: sets up its game for one replica or many, and trains it.

A method is a pure function that sets up the game of one replica, ``setup(key,
hyper, *args) -> Setup``. With `[S]` keys, every array in `args` has a leading
axis S and all replicas run as one program. Methods do not see that axis.

Shapes: K critics, S replicas (seeds), T rows of history.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.gan import buffers
from coalesce_jax.gan import config as config_lib
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.gan import targets as targets_lib
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.gan.adversarial import base as adversarial_lib
from coalesce_jax.methods import replicas
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.parallel import batch_shards
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.transforms import base

Target = targets_lib.Target


class Setup(NamedTuple):
  """The initial game of one replica.

  Attributes:
    generator: parameters of the generator's network.
    targets: targets of the generator.
    generator_rate: multiplies the generator's updates.
    critic_rate: multiplies the critics' updates.
    warmup: steps at the start that update only the critics.
    terms: data of the loss terms, by name.
    prior: source of what the generator starts from; None is normal latents.
  """

  generator: types.Params
  targets: Sequence[Target]
  generator_rate: Any = 1.0
  critic_rate: Any = 1.0
  warmup: Any = 0
  terms: Mapping[str, Any] = {}
  prior: sources.Source | None = None


class Trained(NamedTuple):
  """The result of a run.

  Attributes:
    params: parameters of the generator's network, averaged over steps; leaves
      `[S, ...]` for `[S]` keys.
    critics: parameters of the K critics, one tree each, leaves likewise.
    history: metrics by name, `[T, ...]`.
  """

  params: types.Params
  critics: list[types.Params]
  history: loop.History


class Method(NamedTuple):
  """The static settings of a run.

  Attributes:
    config: settings of the game.
    schedule: schedule of the loop.
    generator: network of the generator.
    critic: network of the critics.
    latent_size: Z of normal latents, for a setup without another prior.
    image_shape: shape of one sample. It decides how many replicas a device
      computes at once.
    reparam: reparametrization of the generator's parameters.
    critic_reparam: reparametrization of the parameters of each critic.
    terms: additional losses of the generator.
    view: what the critics see, see `game.make`.
    buffer: buffer of old fakes; None shows the critics the new fakes.
    adversarial: adversarial losses; None builds those that `config` names.
  """

  config: game_lib.Config
  schedule: loop.Schedule
  generator: types.Network
  critic: types.Network
  latent_size: int
  image_shape: tuple[int, ...]
  reparam: base.Reparam = base.identity()
  critic_reparam: base.Reparam = base.identity()
  terms: tuple[terms_lib.Term, ...] = ()
  view: Callable[[Any, Any], jax.Array] | None = None
  buffer: buffers.Buffer | None = None
  adversarial: adversarial_lib.Adversarial | None = None


class Started(NamedTuple):
  """The games of all replicas before their first step.

  Attributes:
    game: the game.
    state: its state, leaves `[S, ...]` for `[S]` keys.
    inputs: inputs of every step, likewise.
    key: the key of the run, or `[S]` keys.
    schedule: schedule of the loop, with the number of replicas at once.
  """

  game: game_lib.Game
  state: game_lib.State
  inputs: game_lib.Inputs
  key: types.PRNGKey
  schedule: loop.Schedule


def method(
  config: game_lib.Config,
  schedule: loop.Schedule,
  spec: generator_lib.Spec,
  *,
  decay: bool = False,
  **changes: Any,
) -> Method:
  """Returns the settings of a run for the networks of a spec.

  Args:
    config: settings of the game.
    schedule: schedule of the loop.
    spec: names the generator and the critic.
    decay: whether the learning rates fall to zero over the steps.
    **changes: other fields of `Method`, such as another generator network.
  """
  if decay:
    config = config_lib.decaying(config, schedule.steps)
  return Method(
    **{
      'config': config,
      'schedule': schedule,
      'generator': spec.build(),
      'critic': spec.build_critic(),
      'latent_size': spec.latent_size,
      'image_shape': spec.image_shape,
      **changes,
    }
  )


def started(
  key: types.PRNGKey,
  setup: Callable[..., Setup],
  args: tuple[Any, ...],
  method: Method,
  hyper: Mapping[str, Any] | None = None,
) -> Started:
  """Sets up one game for each replica without training it.

  Args:
    key: one key, or `[S]` keys; consumed.
    setup: see `run`.
    args: see `run`.
    method: static settings.
    hyper: see `run`.

  Returns:
    What `run` gives to the loop.

  Raises:
    ValueError: a hyperparameter has another number of replicas.
  """
  key = keys_lib.typed(key)
  game = game_lib.make(
    method.config,
    generator=method.generator,
    critic=method.critic,
    terms=method.terms,
    reparam=method.reparam,
    critic_reparam=method.critic_reparam,
    adversarial=method.adversarial,
    view=method.view,
    buffer=method.buffer,
  )
  values = replicas.per_replica(hyper or {}, key.shape)

  def start(key: types.PRNGKey, values: Any, *args: Any) -> tuple[Any, ...]:
    key_setup, key_run = jax.random.split(key)
    ready = setup(key_setup, values, *args)
    stacked = targets_lib.stack(ready.targets)
    prior = ready.prior
    if prior is None:
      prior = sources.normal(method.latent_size)
    inputs = game_lib.inputs(
      stacked.sources,
      prior=prior,
      held_out=stacked.held_out,
      weights=stacked.weights,
      radii=stacked.radii,
      generator_rate=ready.generator_rate,
      critic_rate=ready.critic_rate,
      warmup=ready.warmup,
      terms=ready.terms,
    )
    state = game.task.init(key_setup, ready.generator, stacked.critics, inputs)
    return state, inputs, key_run

  schedule = method.schedule
  if schedule.at_once is None:
    schedule = dataclasses.replace(
      schedule, at_once=together(method.config, method.image_shape)
    )
  start = jax.vmap(start) if key.ndim else start
  state, inputs, key_run = scan.once(start)(key, values, *args)
  return Started(game, state, inputs, key_run, schedule)


def run(
  key: types.PRNGKey,
  setup: Callable[..., Setup],
  args: tuple[Any, ...],
  method: Method,
  *,
  hyper: Mapping[str, Any] | None = None,
  hooks: loop.Hooks | None = None,
  score: Callable[..., jax.Array] | None = None,
) -> Trained:
  """Sets up one game for each replica and trains it.

  Args:
    key: one key, or `[S]` keys; consumed.
    setup: pure function ``(key, hyper, *args) -> Setup`` of one replica.
    args: arguments of `setup`; leaves `[S, ...]` for `[S]` keys.
    method: static settings.
    hyper: hyperparameters by name, each a number or `[S]`. `setup` gets those
      of its replica, `[]` float32.
    hooks: effects of the loop.
    score: ``(params of the generator's network, *args) -> []`` of one replica,
      lower is better; for early stopping.

  Raises:
    ValueError: a hyperparameter has another number of replicas.
  """
  key = keys_lib.typed(key)
  game, state, inputs, key_run, schedule = started(
    key, setup, args, method, hyper
  )
  scored = None
  if score is not None:
    compiled = jax.jit(jax.vmap(score) if key.ndim else score)
    scored = lambda params: compiled(params, *args)  # noqa: E731

  def drive() -> loop.Result:
    return loop.drive(
      game.task, state, inputs, key_run, schedule, hooks, scored
    )

  mesh = mesh_lib.fitting(math.prod(key.shape), method.config.batch_size)
  if mesh is None:
    result = drive()
  else:
    with mesh_lib.use(mesh):
      result = drive()
    # Later stages run on the device that they would use without a mesh.
    moved = jax.device_put((result.state, result.model), mesh.devices.flat[0])
    result = result._replace(state=moved[0], model=moved[1])
  critics = scan.each(game.critics, bool(key.ndim))(result.state)
  count = jax.tree.leaves(critics)[0].shape[key.ndim]
  return Trained(
    params=result.model,
    critics=[replicas.at(critics, k, key.ndim) for k in range(count)],
    history=result.history,
  )


def together(
  config: game_lib.Config, image_shape: tuple[int, ...]
) -> int | None:
  """Returns how many replicas a device computes at once; None is all.

  Args:
    config: settings of the game.
    image_shape: shape of one sample.
  """
  values = config.batch_size * math.prod(image_shape)
  return 1 if batch_shards.in_turns(values) else None
