"""Agents keep the channels that the samples need."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.compress import agents
from coalesce_jax.compress import critics
from coalesce_jax.compress import pruning
from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.training import loop
from tests import small

OPTIONS = generator_lib.freeze({'hidden': (12,)})
SPEC = generator_lib.Spec('mlp', 2, (2,), OPTIONS, 'mlp', OPTIONS)
KEY = jax.random.key(0)


def flat(images):
  return np.asarray(images).reshape(len(images), -1)


# Twelve channels of 4 products each, and 4 products of the affine map.
SHARE = 16 / 52


def subject(needed=(1, 4, 7)):
  """A network whose output reads three of twelve channels."""
  made = small.generator(3, SPEC)
  rng = np.random.default_rng(0)
  leaves = trees.flatten(made.params)
  leaves['dense_0/kernel'] = rng.normal(size=(2, 12)).astype(np.float32)
  leaves['dense_0/bias'] = np.full(12, 0.5, np.float32)
  read = np.isin(np.arange(12), needed)[:, None]
  leaves['out/kernel'] = np.where(read, rng.normal(size=(12, 2)), 0.0).astype(
    np.float32
  )
  z = jax.random.normal(jax.random.key(1), (64, 2))
  return pruning.Subject(
    SPEC, trees.unflatten(leaves), SPEC.build_critic(), made.critic, z
  )


@pytest.mark.slow
def test_channels_that_the_samples_need_are_kept():
  config = pruning.Config(loop.Schedule(300, 100), neighbours=4)
  hits = 0
  for seed, needed in enumerate(((1, 4, 7), (0, 3, 11), (2, 5, 6))):
    found = pruning.prune(
      jax.random.key(seed), [subject(needed)], SHARE, features=flat,
      config=config,
    )  # fmt: skip
    kept = np.flatnonzero(found.masks[0]['dense_0'])
    assert len(kept) == 3
    hits += len(set(kept) & set(needed))
  # Of nine; 2.25 by chance, and 6 with a probability of 1 %.
  assert hits >= 6


@pytest.mark.parametrize('count', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_agents_start_open_descend_the_budget_and_resume(count):
  one = subject()
  config = pruning.Config(loop.Schedule(4, 2, fast_compile=True), neighbours=3)

  def run(hooks=None):
    return pruning.prune(
      KEY, [one] * count, 0.5, features=flat, config=config, hooks=hooks
    )

  asked = (SPEC,), (one.critic,), (None,), config
  # Seeds share a compiled program.
  assert agents.make(*asked) is agents.make(*asked)
  whole = run()
  assert whole.history['macs'][0] > 0.85
  assert all(mask['dense_0'].sum() >= 1 for mask in whole.masks)
  total = sum(mask['dense_0'].sum() for mask in whole.masks)
  # A map of 12 channels takes 4 of 52 products, and each channel 4.
  assert total == pytest.approx(5.5 * count, abs=1)
  kept = {}
  hooks = loop.Hooks(
    restore=lambda like: kept.get('state'),
    save=lambda step, tree: kept.update(state=(step, tree)),
    stop=lambda: not kept,
  )
  with pytest.raises(loop.Interrupted, match='step 2 of 4'):
    run(hooks)
  resumed = run(hooks)
  for a, b in zip(resumed.masks, whole.masks, strict=True):
    np.testing.assert_array_equal(a['dense_0'], b['dense_0'])


def begun(**changes):
  """One step of agents from the middle of a run, compiled; its state, inputs.

  Some gates are closed: between open networks there is no distance.
  """
  one = subject()
  settings = pruning.Config(
    **{**vars(pruning.Config(neighbours=3, neighbourhoods=4)), **changes}
  )
  pool = agents.Pool(
    one.params, one.critic_params, one.inputs,
    SPEC.build().apply(one.params, one.inputs),
    jnp.tile(jnp.arange(64)[:, None], (1, 3)), jnp.float32(1.0),
  )  # fmt: skip
  task = agents.make((SPEC,), (one.critic,), (None,), settings)
  state = jax.jit(task.init)(KEY)
  memories = {
    side: jnp.full_like(leaf, 0.5) for side, leaf in state.memories.items()
  }
  params = trees.map_named(
    lambda name, leaf: 9.0 * leaf if name.endswith('length') else leaf,
    state.agents,
  )
  state = state._replace(memories=memories, agents=params)
  return jax.jit(task.step), state, (((pool,), jnp.float32(0.1)), KEY)


def test_the_agents_play_against_each_other():
  step, state, given = begun()
  after, first = step(state, *given)
  # Far along the way of one agent, with the same draws.
  there = {}
  for side in agents.SIDES:
    further = jax.tree.map(
      lambda a, b: a + 10.0 * (b - a), state.agents[side], after.agents[side]
    )
    changed = {**state.agents, side: further}
    there[side] = step(state._replace(agents=changed), *given)[1]
  assert there['critic']['distance'] > 1.05 * first['distance']
  assert there['generator']['macs'] < 0.7 * first['macs']
  # Each agent hears what the other has said last.
  for side in agents.SIDES:
    assert np.any(after.memories[side] != state.memories[side])
    other = agents.SIDES[1 - agents.SIDES.index(side)]
    silent = {**state.memories, other: jnp.zeros_like(state.memories[other])}
    found = step(state._replace(memories=silent), *given)[0]
    assert np.any(found.memories[side] != after.memories[side])


@pytest.mark.slow
def test_what_agents_lack_changes_how_they_move():
  moved = {}
  for name, changes in (
    ('both', {}),
    ('alone', {'feedback': False}),
    ('whole', {'critic': False}),
    ('alone, whole', {'critic': False, 'feedback': False}),
  ):
    step, state, given = begun(**changes)
    after, _ = step(state, *given)
    moved[name] = {
      side: np.concatenate([
        np.ravel(a - b) for a, b in zip(
          jax.tree.leaves(after.agents[side]),
          jax.tree.leaves(state.agents[side]), strict=True,
        )
      ])
      for side in agents.SIDES
    }  # fmt: skip
  # A critic without an agent gives that agent nothing but the weight decay,
  # and the other one hears nothing of it.
  assert np.abs(moved['whole']['critic']).max() < 1e-5
  assert np.abs(moved['both']['critic']).max() > 5e-4
  np.testing.assert_array_equal(
    moved['whole']['generator'], moved['alone, whole']['generator']
  )
  for side in agents.SIDES:
    assert np.any(moved['both'][side] != moved['alone'][side])


@pytest.mark.parametrize(
  'network',
  [
    registry.critic('dcgan', data_shape=(8, 8, 1), width=3),
    registry.critic('mlp', data_shape=(8, 8, 1), hidden=(5, 4)),
    registry.critic(
      'patchgan', data_shape=(16, 16, 1), width=2, norm='layer', n_layers=1
    ),
  ],
  ids=['dcgan', 'mlp', 'patchgan'],
)
def test_masked_channels_of_a_critic_change_nothing(network):
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32),
    jax.eval_shape(network.init, KEY),
  )
  masks = {
    name: (np.arange(size) % 2).astype(np.float32)
    for name, size in critics.sizes(network).items()
  }
  side = 16 if 'norm_1/scale' in trees.flatten(params) else 8
  x = rng.normal(size=(2, side, side, 1)).astype(np.float32)
  score = jax.jit(critics.masked(network))
  found = score(params, masks, x)
  # What writes a masked channel does not matter.
  leaves = trees.flatten(params)
  for name, mask in masks.items():
    for kind in ('kernel', 'bias'):
      if f'{name}/{kind}' in leaves:
        noise = rng.normal(size=leaves[f'{name}/{kind}'].shape)
        leaves[f'{name}/{kind}'] += (noise * (1 - mask)).astype(np.float32)
  np.testing.assert_allclose(
    score(trees.unflatten(leaves), masks, x), found, rtol=1e-4, atol=1e-4
  )
  whole = score(params, jax.tree.map(np.ones_like, masks), x)
  np.testing.assert_allclose(whole, network.apply(params, x), rtol=1e-4)
  assert not np.allclose(whole, found)


def test_features_of_a_critic_are_those_of_its_open_channels():
  network = registry.critic('dcgan', data_shape=(8, 8, 1), width=3)
  rng = np.random.default_rng(0)
  params = network.init(KEY)
  x = rng.normal(size=(2, 8, 8, 1)).astype(np.float32)
  whole = {k: np.ones(n, np.float32) for k, n in critics.sizes(network).items()}
  half = {**whole, 'conv_1': np.float32([1, 0, 1, 0, 0, 1])}
  describe = jax.jit(critics.described(network))
  found, some = describe(params, whole, x), describe(params, half, x)
  # The head is linear in the activations of these features.
  maps = np.asarray(found)
  head = np.asarray(params['head']['kernel'])[:, 0]
  np.testing.assert_allclose(
    np.where(maps > 0, maps, 0.2 * maps) @ head + params['head']['bias'][0],
    network.apply(params, x), rtol=1e-4, atol=1e-5,
  )  # fmt: skip
  opened = np.tile(half['conv_1'] > 0, maps.shape[1] // 6)
  np.testing.assert_allclose(
    some, np.where(opened, maps * np.sqrt(2.0), 0.0), rtol=1e-5, atol=1e-6
  )


def test_features_of_a_critic_are_taken_after_its_norm():
  network = registry.critic(
    'patchgan', data_shape=(16, 16, 1), width=2, norm='instance', n_layers=1
  )
  params = network.init(KEY)
  scale, shift = np.float32([2.0, 3.0, 0.5, 1.0]), np.float32([1, -1, 0, 4])
  params['norm_1'] = {'scale': scale, 'shift': shift}
  params['conv_1'] = jax.tree.map(lambda leaf: 1e3 * leaf, params['conv_1'])
  whole = {k: np.ones(n, np.float32) for k, n in critics.sizes(network).items()}
  x = np.random.default_rng(0).normal(size=(3, 16, 16, 1)).astype(np.float32)
  found = np.asarray(critics.described(network)(params, whole, x))
  maps = found.reshape(3, -1, 4)
  np.testing.assert_allclose(maps.mean(1), [shift] * 3, atol=1e-4)
  np.testing.assert_allclose(maps.std(1), [scale] * 3, rtol=1e-2)


def test_what_cannot_be_pruned_is_refused():
  one = subject()
  with pytest.raises(ValueError, match='has no channels to mask'):
    critics.sizes(registry.critic('cones', data_shape=(2,)))
  with pytest.raises(ValueError, match='65 neighbours of 64'):
    pruning.prune(
      KEY, [one], 0.5, features=flat, config=pruning.Config(neighbours=65)
    )
  with pytest.raises(ValueError, match='share 2'):
    pruning.prune(KEY, [one], 2.0, features=flat)
  for changes in ({'neighbours': 0}, {'budget_weight': 0.0}, {'weight_decay': -1.0}):  # noqa: E501  # fmt: skip
    with pytest.raises(ValueError, match=next(iter(changes))):
      pruning.Config(**changes)
