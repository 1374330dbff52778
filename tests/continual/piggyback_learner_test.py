"""Piggyback GAN learns task after task, and forgets none."""

import dataclasses

import jax
import numpy as np
import pytest

from coalesce_jax import translation
from coalesce_jax.continual import family
from coalesce_jax.continual import image_tasks
from coalesce_jax.continual import latent_tasks
from coalesce_jax.continual import piggyback_learner as piggyback
from coalesce_jax.continual import settings
from coalesce_jax.continual import stream
from coalesce_jax.core import trees
from coalesce_jax.methods import pretraining
from coalesce_jax.networks import layer_names
from coalesce_jax.training import loop
from coalesce_jax.translation import settings as translation_settings
from tests.continual import streams

KEY = streams.KEY


def test_scores_below_the_diagonal_repeat_it_bit_for_bit():
  given, seen = streams.points(2), {}

  def hooks(stage):
    return loop.Hooks(observe=lambda step, params: seen.update({stage: params}))

  result = stream.run(KEY, piggyback.learner(), given, hooks)
  # A stage for each task, which observes the network.
  assert list(seen) == ['piggyback_1', 'piggyback_2']
  for t, params in enumerate(seen.values()):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
      params, piggyback.params(result.state, t),
    )  # fmt: skip
  scores = result.scores['energy']
  assert scores.shape == (2, 2)
  for t in range(2):
    np.testing.assert_array_equal(scores[t:, t], scores[t, t])
    assert np.isnan(scores[:t, t]).all()
  # 4 x 6 weights, 2 filters free; the others are sums over 6 filters.
  free = (5 * 4 + 4) + 6 + (6 * 2 + 2)
  assert result.stored.tolist() == [free + 24, free + 4 * 2 + 6 * 4]
  assert (result.bytes == 4 * result.stored).all()
  # The family holds the same generators.
  whole = family.from_state(result.state, given)
  assert whole.layers == ('dense_1/kernel',)
  for t, task in enumerate(given):
    made = whole.generator(task.name)
    jax.tree.map(
      np.testing.assert_array_equal, made.params,
      piggyback.params(result.state, t),
    )  # fmt: skip
    score = stream.evaluate(
      stream.Model(made.network, made.params), task, False
    )
    np.testing.assert_array_equal(score['energy'], scores[t, t])
  state = family.as_state(whole)
  jax.tree.map(np.testing.assert_array_equal, state, result.state)
  with pytest.raises(ValueError, match='no member'):
    whole.generator('x')
  with pytest.raises(ValueError, match='1 tasks for 2'):
    family.from_state(result.state, given[:1])
  with pytest.raises(ValueError, match='not a seed'):
    family.from_state(result.state, given, seed=0)


@pytest.mark.slow
def test_without_training_a_task_starts_as_the_task_that_it_copies():
  config = settings.Piggyback(share=0.4, like=-1)
  tasks = streams.points(learning_rate=1e-12)
  state = stream.run(KEY, piggyback.learner(config), tasks).state
  first = piggyback.params(state, 0)
  for t in (1, 2):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
      piggyback.params(state, t), first,
    )  # fmt: skip


@pytest.mark.slow
def test_the_random_bank_keeps_norms_and_trains_the_same_number():
  tasks = streams.points(2, learning_rate=1e-12)
  learned, control = (
    stream.run(KEY, piggyback.learner(settings.Piggyback(bank=bank)), tasks)
    for bank in ('learned', 'random')
  )
  assert learned.stored.tolist() == control.stored.tolist()
  banks = [
    np.asarray(r.state.bank['dense_1']['kernel']) for r in (learned, control)
  ]
  np.testing.assert_allclose(
    *[(bank[:, :6] ** 2).sum(0) for bank in banks], rtol=1e-4
  )
  assert np.abs(banks[0] - banks[1])[:, :6].mean() > 0.1
  np.testing.assert_array_equal(control.scores['energy'][:, 0],
                                learned.scores['energy'][:, 0])  # fmt: skip


def test_shares_follow_layers_and_novelty():
  task = streams.points(1)[0]
  config = settings.Piggyback(0.5, (('dense_1/kernel', 0.125),))
  rules = piggyback.shares(config, task, piggyback.State())
  assert rules[0] == ('dense_1/kernel', 0.125) and rules[1][1] == 0.5
  with pytest.raises(ValueError, match='needs pairs of images'):
    piggyback.novelty(task, piggyback.State((0,)))
  for wrong, match in (
    ({'share': 1.5}, 'not in'),
    ({'shares': (('(', 0.5),)}, 'no regular'),
    ({'start': 'x'}, 'is not one of'),
    ({'bank': 'x'}, 'is not one of'),
    ({'novelty': (0.5, 0.25)}, 'lowest share comes first'),
  ):
    with pytest.raises(ValueError, match=match):
      settings.Piggyback(**wrong)
  with pytest.raises(ValueError, match='known only of'):
    layer_names.inner_kernels('x')


@pytest.mark.slow
def test_the_first_task_is_pix2pix_and_the_share_follows_from_novelty():
  given = streams.pairs()
  config = settings.Piggyback(novelty=(0.25, 0.75))
  result = stream.run(KEY, piggyback.learner(config), given)
  first = given[0].problem.args[0]
  alone, _ = translation.pix2pix(
    jax.random.fold_in(KEY, 0),
    ({'condition': first.condition, 'target': first.target},
     {'condition': first.held_condition, 'target': first.held_target}),
    config=streams.PAIRED,
  )  # fmt: skip
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
    piggyback.params(result.state, 0), alone.params,
  )  # fmt: skip
  data = given[1].problem.args[0]
  far = np.abs(np.asarray(alone(data.condition)) - data.target).mean()
  mean = data.target.mean(0, keepdims=True)
  wanted = min(1.0, far / np.abs(data.target - mean).mean())
  first_only = result.state._replace(latents=result.state.latents[:1])
  found = piggyback.novelty(given[1], first_only)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
  wide = {'condition': np.full((5, 8, 8, 2), -1.0), 'target': data.target}
  other = image_tasks.translation('other', wide, streams.PAIRED)
  with pytest.raises(ValueError, match='needs the network of the first'):
    piggyback.novelty(other, first_only)
  # Only down_1 and up_1 are factorised, of 4 filters and of 2.
  flat = trees.flatten(result.state.latents[1])
  u = np.ceil((0.25 + 0.5 * wanted) * 4)
  assert flat['down_1/kernel/free'].shape == (4, 4, 2, u)
  whole = trees.count(alone.params)
  free = whole - 16 * 2 * 4 - 16 * 4 * 2
  w = np.ceil((0.25 + 0.5 * wanted) * 2)
  assert result.stored.tolist() == [
    whole,
    free + 16 * 2 * u + 4 * (4 - u) + 16 * 4 * w + 2 * (2 - w),
  ]


@pytest.mark.slow
def test_a_task_may_have_a_first_layer_of_another_shape():
  spec = dataclasses.replace(streams.POINTS, latent_size=6)
  first, second = streams.points(2)
  other = latent_tasks.latents(
    'other', np.float32(np.random.default_rng(0).normal(size=(20, 2))), spec,
    pretraining.Config(second.problem.method.config, streams.SCHEDULE),
  )  # fmt: skip
  result = stream.run(KEY, piggyback.learner(), [first, other])
  made = family.from_state(result.state, [first, other])
  assert made.generator(1).sample(KEY, 3).shape == (3, 2)
  assert result.stored[1] == (6 * 4 + 4) + 6 + (6 * 2 + 2) + 4 * 2 + 6 * 4


@pytest.mark.slow
def test_both_directions_of_a_cyclegan_have_a_bank():
  rng = np.random.default_rng(0)
  config = translation_settings.CycleGan(
    streams.PAIRED.networks, streams.SCHEDULE, batch_size=2, pool_size=2
  )
  given = [
    image_tasks.unpaired(
      name,
      {'condition': rng.uniform(-1, 1, (20, 8, 8, 1)).astype(np.float32),
       'target': rng.uniform(-1, 1, (25, 8, 8, 1)).astype(np.float32)},
      config,
    )
    for name in ('first', 'second')
  ]  # fmt: skip
  result = stream.run(KEY, piggyback.learner(), given)
  assert sorted(trees.flatten(result.state.bank)) == [
    f'{way}/{layer}/kernel' for way in ('ab', 'ba')
    for layer in ('down_1', 'up_1/conv')
  ]  # fmt: skip
  scores = result.scores['energy']
  assert scores[0, 0] == scores[1, 0] and np.isfinite(scores[1, 1])
  whole = family.from_state(result.state, given, part='ab')
  jax.tree.map(
    np.testing.assert_array_equal,
    whole.generator(1).params, piggyback.params(result.state, 1)['ab'],
  )  # fmt: skip
  assert whole.generator(1)(given[0].problem.args[0].condition).shape[-1] == 1
