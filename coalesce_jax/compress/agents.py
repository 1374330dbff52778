r"""Defines the task of two agents that choose the channels of networks.

All weights are frozen. One agent masks the generators, the other one their
critics. They play

.. math::
  \min_{a_G} \max_{a_f} \;
  d(a_G, a_f) + w \log \frac{\max(T(a_G), p T_0)}{p T_0}

where d compares local densities (`density.distance`), T are the multiply-
accumulates of the masked generators, T_0 those of the whole ones, and p is the
share to keep. Each agent starts from the last summary of the other one.

Reimplemented from the abstract, see `density`; the agents follow the public
code of the same authors for other networks.

Shapes: N pool of inputs, k neighbours, B neighbourhoods of a step, C channels.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from coalesce_jax.compress import channels
from coalesce_jax.compress import critics as critics_lib
from coalesce_jax.compress import density
from coalesce_jax.compress import gates
from coalesce_jax.compress import macs
from coalesce_jax.compress import method_names
from coalesce_jax.compress import slicing
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import agents
from coalesce_jax.training import loop
from coalesce_jax.training import task as task_lib

SIDES = ('generator', 'critic')


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of the agents.

  Attributes:
    schedule: schedule of the loop.
    neighbours: k. 1 is each sample alone.
    neighbourhoods: B.
    local: False compares means of the batch, without neighbourhoods.
    feedback: whether an agent reads the last summary of the other one.
    critic: whether the critics have an agent; False keeps them whole.
    budget_weight: w.
    learning_rate: of AdamW.
    weight_decay: of AdamW.
  """

  schedule: loop.Schedule = loop.Schedule(method_names.AGENT_STEPS, 20)
  neighbours: int = 8
  neighbourhoods: int = 8
  local: bool = True
  feedback: bool = True
  critic: bool = True
  budget_weight: float = 2.0
  learning_rate: float = 1e-3
  weight_decay: float = 1e-3

  def __post_init__(self):
    """Checks the settings.

    Raises:
      ValueError: one is out of range.
    """
    for name in ('neighbours', 'neighbourhoods'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} {getattr(self, name)} is below 1')
    for name in ('budget_weight', 'learning_rate'):
      if not getattr(self, name) > 0.0:
        raise ValueError(f'{name} {getattr(self, name)} is not positive')
    if not self.weight_decay >= 0.0:
      raise ValueError(f'weight_decay {self.weight_decay} is below 0')


class Pool(NamedTuple):
  """The arrays of one network that a step reads.

  Attributes:
    params: of the generator.
    critic_params: of the critic.
    inputs: `[N, ...]`.
    samples: what the original network makes of them, `[N, ...]`.
    near: rows of the neighbours of each input, `[N, k]`.
    scale: standard deviation of the critic's features, `[]`.
  """

  params: types.Params
  critic_params: types.Params
  inputs: Any
  samples: Any
  near: Any
  scale: Any


def gap(
  pool: Pool,
  rows: jax.Array,
  generate: Callable[[Any], Any],
  describe: Callable[[Any], jax.Array],
  view: Callable[[Any, Any], Any] | None,
  local: bool,
) -> jax.Array:
  """Returns the `density.distance` of another network to the original.

  Args:
    pool: samples of the original network.
    rows: neighbourhoods, `[B, k]`.
    generate: ``inputs -> samples`` of the other network.
    describe: ``what the critic sees -> features``, `[B k, ...]`.
    view: see `pruning.Subject`.
    local: see `density.distance`.
  """
  flat = rows.reshape(-1)
  inputs = pixels.decode(pool.inputs[flat])
  real, fake = (
    describe(samples if view is None else view(inputs, samples)).reshape(
      *rows.shape, -1
    )
    for samples in (pool.samples[flat], generate(inputs))
  )
  return density.distance(real, fake, pool.scale, local)


class State(NamedTuple):
  """Both agents in training.

  Attributes:
    step: steps done, `[]` int32.
    agents: their parameters by side.
    tokens: their fixed tokens by side, `[L, TOKEN]`.
    memories: their last summaries by side, `[SUMMARY]`.
    optimizers: states of AdamW by side.
  """

  step: Any
  agents: Any
  tokens: Any
  memories: Any
  optimizers: Any


@functools.lru_cache(maxsize=16)
def make(
  specs: tuple[generator_lib.Spec, ...],
  critics: tuple[types.Network, ...],
  views: tuple[Callable[[Any, Any], Any] | None, ...],
  config: Config,
) -> task_lib.Task:
  """Builds the task of both agents. Equal arguments return the same task.

  Its inputs are a pool for each network and the share p. Its model are logits
  of the generators' channels, of each network by name of the group.

  Args:
    specs: the networks.
    critics: their critics.
    views: see `pruning.Subject`.
    config: settings.
  """
  sizes = {
    'generator': [
      {g.name: g.size for g in channels.groups(spec)} for spec in specs
    ],
    'critic': [critics_lib.sizes(critic) for critic in critics],
  }
  networks = {
    side: agents.Agent(tuple(n for each in found for n in each.values()))
    for side, found in sizes.items()
  }
  masked = [slicing.masked(spec) for spec in specs]
  described = [critics_lib.described(critic) for critic in critics]
  counts = [macs.of_masks(spec) for spec in specs]
  whole = float(sum(macs.total(spec) for spec in specs))
  adam = optax.adamw(config.learning_rate, weight_decay=config.weight_decay)

  def init(key: types.PRNGKey) -> State:
    keys = dict(zip(SIDES, jax.random.split(key, 2), strict=True))
    tokens, params = {}, {}
    start = jnp.zeros(agents.SUMMARY)
    for side, network in networks.items():
      key_tokens, key_agent = jax.random.split(keys[side])
      tokens[side] = agents.tokens(key_tokens, len(network.sizes))
      params[side] = network.init(key_agent, tokens[side], start)
    return State(
      jnp.int32(0), params, tokens, dict.fromkeys(SIDES, start),
      {side: adam.init(params[side]) for side in SIDES},
    )  # fmt: skip

  def decide(side: str, params: Any, state: State) -> tuple[list[Any], Any]:
    """Returns logits by network and name, and the summary of an agent."""
    other = SIDES[1 - SIDES.index(side)]
    heard = config.feedback and (config.critic or other == 'generator')
    memory = state.memories[other] * float(heard)
    logits, summary = networks[side].apply(params, state.tokens[side], memory)
    flat = iter(logits)
    return [
      {name: next(flat) for name in each} for each in sizes[side]
    ], summary

  def gaps(params, state, pools, key):
    """Returns d, T / T_0 and both summaries."""
    key_rows, key_noise = jax.random.split(key)
    chosen, summaries = {}, {}
    for side, key_side in zip(SIDES, jax.random.split(key_noise), strict=True):
      logits, summaries[side] = decide(side, params[side], state)
      leaves, tree = jax.tree.flatten(logits)
      keys = jax.random.split(key_side, len(leaves))
      drawn = [gates.mask(*pair) for pair in zip(leaves, keys, strict=True)]
      chosen[side] = jax.tree.unflatten(tree, drawn)
    if not config.critic:
      chosen['critic'] = jax.tree.map(jnp.ones_like, chosen['critic'])
    far = []
    for i, pool in enumerate(pools):
      rows = density.drawn(
        jax.random.fold_in(key_rows, i), pool.near, config.neighbourhoods
      )
      generate = functools.partial(
        masked[i], pool.params, chosen['generator'][i]
      )
      describe = functools.partial(
        described[i], pool.critic_params, chosen['critic'][i]
      )
      far.append(gap(pool, rows, generate, describe, views[i], config.local))
    used = sum(
      count(masks)
      for count, masks in zip(counts, chosen['generator'], strict=True)
    )
    return jnp.mean(jnp.stack(far)), (used / whole, summaries)

  def step(state: State, inputs: Any, key: types.PRNGKey) -> Any:
    pools, share = inputs
    key = jax.random.fold_in(key, state.step)

    def loss(params):
      far, (used, summaries) = gaps(params, state, pools, key)
      budget = jnp.log(jnp.maximum(used, share) / share)
      return far + config.budget_weight * budget, (far, used, summaries)

    gradients, (far, used, summaries) = jax.grad(loss, has_aux=True)(
      state.agents
    )
    # What the generators' agent descends, that of the critics climbs.
    gradients['critic'] = jax.tree.map(jnp.negative, gradients['critic'])
    params, optimizers = {}, {}
    for side in SIDES:
      updates, optimizers[side] = adam.update(
        gradients[side], state.optimizers[side], state.agents[side]
      )
      params[side] = optax.apply_updates(state.agents[side], updates)
    state = State(state.step + 1, params, state.tokens, summaries, optimizers)
    return state, {'distance': far, 'macs': used}

  def model(state: State) -> list[dict[str, jax.Array]]:
    logits, _ = decide('generator', state.agents['generator'], state)
    return logits

  return task_lib.Task(init, step, model)
