r"""Learns tasks by Piggyback GAN: new filters, and a frozen bank of old ones.

Zhai et al., https://arxiv.org/abs/2104.11939; see `transforms.piggyback`.
Earlier generators never change. Critics are learned anew for each task.

Shapes: T tasks, S seeds, N filters of the bank.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import fitting
from coalesce_jax.continual import settings
from coalesce_jax.continual import stream
from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.metrics import image_scores
from coalesce_jax.networks import layer_names
from coalesce_jax.training import loop
from coalesce_jax.transforms import base
from coalesce_jax.transforms import piggyback
from coalesce_jax.translation import training

Config = settings.Piggyback
_REPARAM = base.Reparam(base.identity().init, piggyback.apply)


class State(NamedTuple):
  """The filters of all tasks.

  Attributes:
    latents: latent parameters of each task, leaves `[S, ...]` for `[S]` keys.
    bank: leaves `[..., N]` or `[S, ..., N]`.
    batched: whether leaves have the axis S.
  """

  latents: tuple[Any, ...] = ()
  bank: Any = None
  batched: bool = False


def learner(config: Config | None = None) -> stream.Learner:
  """Returns the learner.

  Args:
    config: settings; None is `Config()`.
  """
  config = Config() if config is None else config

  def learn(
    key: types.PRNGKey,
    state: State,
    task: stream.Task,
    hooks: loop.Hooks | None,
  ) -> tuple[State, loop.History]:
    key = keys_lib.typed(key)
    rules = shares(config, task, state)
    bank = state.bank
    if bank is None:
      shapes = jax.eval_shape(task.network.init, jax.random.key(0))
      bank = jax.tree.map(
        lambda leaf: jnp.zeros((*key.shape, *leaf.shape)),
        _empty(shapes, rules),
      )
    copied = config.start == 'copy' and config.bank == 'learned'
    like = state.latents[config.like] if copied and state.latents else None

    def start(
      key: types.PRNGKey, params: types.Params, given: Any
    ) -> tuple[Any, Any]:
      bank, like = given
      if like is not None:
        params = _where_equal(piggyback.apply(like, bank), params)
      return piggyback.start(key, params, bank, rules, like)

    fitted = fitting.fit(
      key,
      task.problem,
      start=start,
      given=(bank, like),
      reparam=_REPARAM,
      hooks=hooks,
    )
    added = fitted.latent
    if config.bank == 'random':
      added = _random_filters(key, added, bank)
    grow = jax.vmap(piggyback.grow) if key.ndim else piggyback.grow
    return (
      State((*state.latents, fitted.latent), grow(bank, added), bool(key.ndim)),
      fitted.history,
    )

  def generator(state: State, t: int, task: stream.Task) -> stream.Model | None:
    if t >= len(state.latents):
      return None
    return stream.Model(task.network, params(state, t))

  return stream.Learner(
    'piggyback', State, learn, generator, lambda state: state.latents
  )


def params(state: State, t: int) -> types.Params:
  """Returns the parameters of the generator of a task.

  Args:
    state: state of the learner.
    t: index of the task.
  """
  pair = jax.tree.map(np.asarray, (state.latents[t], state.bank))
  if not state.batched:
    return piggyback.apply_exactly(*pair)
  count = len(jax.tree.leaves(pair)[0])
  each = [piggyback.apply_exactly(*trees.member(pair, s)) for s in range(count)]
  return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def shares(config: Config, task: stream.Task, state: State) -> piggyback.Shares:
  """Returns the rules of a task.

  Args:
    config: settings.
    task: the task.
    state: state before the task.

  Raises:
    ValueError: a pattern matches no leaf; `novelty` needs pairs of images.
  """
  share = config.share
  if config.novelty is not None and state.latents:
    low, high = config.novelty
    share = low + (high - low) * novelty(task, state)
  inner = r'.*kernel'
  if not config.first_and_last:
    inner = layer_names.inner_kernels(task.spec.network)
  return (*config.shares, (inner, share))


def layers(
  task: stream.Task, rules: piggyback.Shares
) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of the leaves of a task that rules factorise."""
  shapes = jax.eval_shape(task.network.init, jax.random.key(0))
  leaves = trees.flatten(shapes)
  return {
    name: leaves[name].shape for name in piggyback.factorised(shapes, rules)
  }


def novelty(task: stream.Task, state: State) -> float:
  """Returns how new a task is, from 0 to 1.

  It is the mean absolute difference of the first task's generator to the
  training targets of the task, divided by that of their mean image; at most 1.
  At 1 the generator is of no more use than the mean image. Seeds are averaged.

  Args:
    task: a task of image pairs.
    state: state with at least one task.

  Raises:
    ValueError: the task has no pairs, or images of other channels than the
      first one.
  """
  args = task.problem.args
  if task.spec.condition_shape is None or not isinstance(
    args[0], training.Data
  ):
    raise ValueError(f'task {task.name}: novelty needs pairs of images')
  condition, target = (
    jnp.asarray(x[: training.VALIDATED]) for x in args[0][:2]
  )
  network = task.network
  first = params(state, 0)
  wanted = trees.flatten(jax.eval_shape(network.init, jax.random.key(0)))
  lead = int(state.batched)
  for name, leaf in trees.flatten(first).items():
    if leaf.shape[lead:] != wanted[name].shape:
      raise ValueError(
        f'task {task.name}: novelty needs the network of the first task; '
        f'{name} is {wanted[name].shape}, there {leaf.shape[lead:]}'
      )
  options = dict(task.spec.options)
  translate = lambda p: training.translate(network, p, condition, options)  # noqa: E731
  made = (jax.vmap(translate) if state.batched else translate)(first)
  made = made.reshape(-1, *target.shape)
  real = pixels.decode(target)
  far = [float(jnp.mean(image_scores.l1(x, real))) for x in made]
  mean = jnp.broadcast_to(jnp.mean(real, 0, keepdims=True), real.shape)
  reference = float(jnp.mean(image_scores.l1(mean, real)))
  return min(1.0, float(np.mean(far)) / max(reference, 1e-12))


def _where_equal(wanted: types.Params, params: types.Params) -> types.Params:
  """Returns `params` with the leaves of `wanted` that have their shape."""
  found = trees.flatten(wanted)

  def pick(name: str, leaf: jax.Array) -> jax.Array:
    other: jax.Array = found.get(name, leaf)
    return other if other.shape == leaf.shape else leaf

  return trees.map_named(pick, params)


def _random_filters(key: types.PRNGKey, latent: Any, bank: Any) -> Any:
  """Returns latent parameters whose free filters are random, of their norms."""
  flat = trees.flatten(latent)
  names = [f'{name}/{piggyback.FREE}' for name in trees.flatten(bank)]
  free = trees.unflatten({name: flat[name] for name in names})

  def one(key: types.PRNGKey, free: Any) -> Any:
    return piggyback.randomised(jax.random.fold_in(key, 2), free)

  drawn = (jax.vmap(one) if key.ndim else one)(key, free)
  return trees.unflatten({**flat, **trees.flatten(drawn)})


def _empty(params: types.Params, rules: piggyback.Shares) -> Any:
  """Returns shapes of the empty bank of a network of these shapes."""
  return jax.eval_shape(lambda: piggyback.empty(
    jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), params), rules
  ))  # fmt: skip
