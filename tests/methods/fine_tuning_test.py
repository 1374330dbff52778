"""Fine-tuning: critic ensembles, replicas, frozen critics."""

import dataclasses

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from tests import agreement
from tests import small
from tests.methods import presets

KEY = jax.random.key(0)


def test_judges_weigh_the_same_and_start_where_they_are():
  start, *judges = (small.generator(k) for k in range(3))
  local = jax.random.normal(KEY, (20, 2))
  config = presets.adapting(anchor=0.25)
  game = dataclasses.replace(config.game, objective='w1')
  still = dataclasses.replace(config, game=game, rate=0.0)
  made, history = cj.adapt(KEY, start, local, config=still, judges=judges)
  # Two of the local samples, and the anchor's.
  assert history['w1'].shape == (2, 3)
  np.testing.assert_allclose(history['coefficient'][0], [0.375, 0.375, 0.25])
  equal_critics = [
    agreement.equal(made.critic, g.critic) for g in (start, *judges)
  ]
  assert equal_critics == [False, True, False]
  # One judge that is the start's own critic is what there is without.
  _, alone = cj.adapt(KEY, start, local, config=config)
  _, judged = cj.adapt(KEY, start, local, config=config, judges=[start])
  np.testing.assert_array_equal(alone['w1'], judged['w1'])


def test_cold_judges_differ():
  config = presets.adapting(anchor=0.0, warm_critics=False)
  nodes = [small.generator(k) for k in range(2)]
  _, history = cj.adapt(
    KEY, nodes[0], jax.random.normal(KEY, (20, 2)), config=config, judges=nodes
  )
  assert np.all(history['w1'][:, 0] != history['w1'][:, 1])
  # Both are of one end: there is no segment.
  assert 'position' not in history


def test_judges_need_critics_like_that_of_the_start():
  node = small.generator()
  local = jax.random.normal(KEY, (20, 2))
  for judge in (small.generator(critic=False), presets.image_nodes(1)[0]):
    with pytest.raises(ValueError, match=r'judges\[1\]'):
      cj.adapt(KEY, node, local, judges=[node, judge])
  ball = presets.adapting(game=small.config(objective='ball'), radius=0.1)
  with pytest.raises(ValueError, match='ball'):
    cj.adapt(KEY, node, local, config=ball, judges=[node, node])


@pytest.mark.slow
def test_members_have_anchors_and_rates_of_their_own():
  meta = small.generator()
  keys = jax.random.split(KEY, 2)
  local = jax.random.normal(KEY, (2, 12, 2))
  numbers = {'anchor': np.array([0.25, 0.75]), 'rate': np.array([1.0, 0.3])}
  twice = meta._replace(
    params=trees.stack([meta.params] * 2), critic=trees.stack([meta.critic] * 2)
  )
  together, _ = cj.adapt(keys, twice, local, config=presets.adapting(**numbers))
  for s in range(2):
    config = presets.adapting(**{k: v[s] for k, v in numbers.items()})
    alone, _ = cj.adapt(keys[s], meta, local[s], config=config)
    agreement.close(trees.member(together.params, s), alone.params, 1e-5)
  with pytest.raises(ValueError, match=r'anchor has shape \(3,\)'):
    cj.adapt(
      keys, twice, local, config=presets.adapting(anchor=np.full(3, 0.5))
    )
  with pytest.raises(ValueError, match='not in'):
    presets.adapting(anchor=np.array([0.5, 1.0]))
  for name in ('rate', 'generator_rate', 'radius'):
    with pytest.raises(ValueError, match=f'{name} .* not in'):
      presets.adapting(**{name: np.array([0.5, np.inf])})


@pytest.mark.slow
def test_adaptation_takes_augmentation_freezing_and_early_stopping():
  config = adaptation.Config(
    game=small.config(augment='translation,cutout,flip', freeze=('conv_0/.*',)),
    schedule=small.schedule(4, 2, select_every=2),
    warmup=0,
    held_out=0.2,
  )
  meta = presets.image_nodes(1)[0]
  edge, _ = cj.adapt(KEY, meta, small.images(), config=config)
  assert agreement.equal(edge.critic['conv_0'], meta.critic['conv_0'])
  assert not agreement.equal(edge.critic['conv_1'], meta.critic['conv_1'])


def test_generators_have_rates_of_their_own_member_by_member():
  one = small.generator(0)
  start = one._replace(
    params=trees.stack([one.params] * 2), critic=trees.stack([one.critic] * 2)
  )
  local = jax.random.normal(KEY, (2, 20, 2))
  config = adaptation.Config(
    game=small.config(ema=0.0), schedule=small.schedule(1, 1), anchor=0.0,
    warmup=0,
  )  # fmt: skip

  def moved(**rates):
    made, _ = cj.adapt(
      jax.random.split(KEY, 2), start, local,
      config=dataclasses.replace(config, **rates),
    )  # fmt: skip
    return jax.tree.map(lambda a, b: a - b, made.params, start.params), made

  change, made = moved(generator_rate=np.array([0.0, 3.0]))
  once, _ = moved()
  assert agreement.equal(trees.member(made.params, 0), one.params)
  agreement.close(
    trees.member(change, 1),
    jax.tree.map(lambda leaf: 3.0 * leaf, trees.member(once, 1)),
    atol=1e-6,
  )
  assert not agreement.equal(trees.member(change, 1), trees.member(once, 1))
  # Critics do not see it.
  assert agreement.equal(made.critic, moved()[1].critic)
