"""The parts of the learners that others are compared with."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.continual import consolidation
from coalesce_jax.continual import fitting
from coalesce_jax.continual import image_tasks
from coalesce_jax.continual import joined
from coalesce_jax.continual import latent_tasks
from coalesce_jax.continual import modulation
from coalesce_jax.continual import one_network
from coalesce_jax.continual import rehearsal
from coalesce_jax.continual import separate
from coalesce_jax.continual import stream
from coalesce_jax.core import trees
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.translation import settings as translation_settings
from tests import agreement
from tests.continual import streams

KEY = streams.KEY
RNG = np.random.default_rng(0)
# Parameters of the networks of points and of pairs.
WHOLE = 5 * 4 + 4 + 4 * 6 + 6 + 6 * 2 + 2


def drawn(network, seed=0):
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(network.init, KEY)
  return jax.tree.map(
    lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes
  )


def test_latents_end_in_the_code_of_the_task():
  source = latent_tasks.coded_normal(5, (1, 3))
  z = np.asarray(sources.draw_one(source, KEY, 400))
  np.testing.assert_array_equal(z[:, 2:], np.tile([0.0, 1.0, 0.0], (400, 1)))
  assert abs(z[:, :2].mean()) < 0.2 and abs(z[:, :2].std() - 1.0) < 0.1
  for code in ((3, 3), (0, 5), (-1, 2)):
    with pytest.raises(ValueError, match='does not fit'):
      latent_tasks.coded_normal(5, code)
  # Auxiliary latents have the codes of the tasks before.
  *_, third = streams.points(3)
  made = third.auxiliary(z, 2)
  assert len(made) == 2
  for k in range(2):
    np.testing.assert_array_equal(made[k][:, :2], z[:, :2])
    np.testing.assert_array_equal(
      made[k][:, 2:], np.tile(np.eye(3)[k], (400, 1))
    )


def test_a_montage_takes_each_quarter_from_another_image():
  task = streams.pairs(1)[0]
  x = RNG.normal(size=(5, 4, 6, 2))
  (found,) = task.auxiliary({'condition': x, 'target': 0}, 1)
  for i in range(5):
    others = [x[(i - k) % 5] for k in range(4)]
    wanted = np.concatenate([
      np.concatenate([others[0][:2, :3], others[1][:2, 3:]], 1),
      np.concatenate([others[2][2:, :3], others[3][2:, 3:]], 1),
    ])  # fmt: skip
    np.testing.assert_allclose(found['condition'][i], wanted, rtol=1e-6)


def test_imitation_is_the_mean_distance_to_the_teacher():
  *_, third = streams.points(3)
  network = third.problem.method.generator
  student, teacher = drawn(network), drawn(network, 1)
  z = RNG.normal(size=(7, 5)).astype(np.float32)
  term = rehearsal.imitation(network, third.auxiliary, 2, 3.0)
  found = term.loss(student, terms.Batch(z, None, KEY), teacher)
  far = []
  for k in range(2):
    coded = np.concatenate([z[:, :2], np.tile(np.eye(3)[k], (7, 1))], 1)
    a, b = (np.asarray(network.apply(p, coded)) for p in (student, teacher))
    far.append(np.abs(a - b).mean())
  np.testing.assert_allclose(found, 3.0 * np.mean(far), rtol=1e-5)


def test_importance_is_the_mean_square_of_derivatives_of_the_critic():
  problem = streams.points(1)[0].problem
  method = problem.method
  params, critic = drawn(method.generator), drawn(method.critic, 1)
  fitted = fitting.Fitted(params, [critic], {})
  found = consolidation.importance(KEY, problem, fitted, 2000)
  for name, leaf in trees.flatten(found).items():
    np.testing.assert_allclose(leaf.mean(), 1.0, rtol=1e-4, err_msg=name)
  # Of a bias of the last layer: the critic's derivative by its input, over
  # other latents of the same code.
  source = latent_tasks.coded_normal(5, (0, 3))
  z = sources.draw_one(source, jax.random.key(5), 3000)
  made = method.generator.apply(params, z)
  slope = jax.grad(lambda x: method.critic.apply(critic, x).sum())(made)
  wanted = (np.asarray(slope) ** 2).mean(0)
  np.testing.assert_allclose(
    found['out']['bias'], wanted / wanted.mean(), rtol=0.1
  )


def test_a_joined_game_shows_each_critic_the_samples_of_its_task():
  parts = [task.problem for task in streams.points(2)]
  problem = joined.joined(parts)
  hyper, method = {}, problem.method
  ready = scan.once(problem.setup)(KEY, hyper, *problem.args)
  alone = scan.once(parts[1].setup)(KEY, hyper, *parts[1].args)
  jax.tree.map(np.testing.assert_array_equal, ready.generator, alone.generator)
  assert [float(t.weight) for t in ready.targets] == [0.5, 0.5]
  prior = sources.draw_one(ready.prior, KEY, 4)
  codes = [np.asarray(prior[name])[:, 2:] for name in sorted(prior)]
  for k in range(2):
    np.testing.assert_array_equal(codes[k], np.tile(np.eye(3)[k], (4, 1)))
    mean = np.asarray(ready.targets[k].source.data['samples'])[:18].mean(0)
    np.testing.assert_allclose(mean, [k, k], atol=0.6)
  made = method.generator.apply(ready.generator, prior)
  seen = method.view(prior, made)
  for k, name in enumerate(sorted(prior)):
    wanted = parts[k].method.generator.apply(ready.generator, prior[name])
    np.testing.assert_allclose(seen[k], wanted, rtol=1e-5)
  other = parts[0]._replace(method=parts[0].method._replace(image_shape=(3,)))
  with pytest.raises(ValueError, match='different image_shape'):
    joined.joined([other, parts[1]])


def test_a_joined_term_is_the_mean_over_tasks():
  parts = [task.problem for task in streams.pairs(2)]
  (term,) = joined.joined(parts).method.terms
  pairs = [{'target': RNG.normal(size=(2, 4, 4, 1))} for _ in range(2)]
  made = tuple(RNG.normal(size=(2, 4, 4, 1)) for _ in range(2))
  batch = terms.Batch({'task_000': pairs[0], 'task_001': pairs[1]}, made, KEY)
  found = term.loss(None, batch, (2.0, 3.0))
  wanted = [
    w * np.abs(x - p['target']).mean()
    for w, x, p in zip((2.0, 3.0), made, pairs, strict=True)
  ]
  np.testing.assert_allclose(found, np.mean(wanted), rtol=1e-5)


def test_replay_refuses_a_task_without_replay_before_training():
  domains = {
    'condition': RNG.uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32),
    'target': RNG.uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32),
  }
  networks = dataclasses.replace(
    streams.PAIRED.networks, net_g='resnet', blocks=1
  )
  config = translation_settings.CycleGan(networks, streams.SCHEDULE)
  task = image_tasks.unpaired('domains', (domains, domains), config)
  began = []
  hooks = loop.Hooks(restore=began.append)
  learner = rehearsal.replay(3)
  with pytest.raises(ValueError, match='task domains: replay needs pairs'):
    learner.learn(KEY, learner.init(), task, hooks)
  assert not began


def test_replay_makes_data_in_place_of_those_of_the_task():
  task = streams.points(1)[0]
  params = drawn(task.network)
  made = task.replayed(task.network, params, KEY, task.kept(10), 10)
  given = task.problem.args
  assert [x.shape[1:] for x in made] == [x.shape[1:] for x in given]
  assert made[2].tolist() == [10, 1] and len(made[0]) == 10
  pair = streams.pairs(1)[0]
  kept = pair.kept(3)
  params = drawn(pair.network)
  (data,) = pair.replayed(pair.network, params, KEY, jnp.asarray(kept), 3)
  np.testing.assert_array_equal(data.condition, kept)
  np.testing.assert_allclose(
    data.target, pair.network.apply(params, kept), rtol=1e-5, atol=1e-6
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ('learner', 'stored'),
  [
    (separate.standalone(), WHOLE),
    (one_network.sequential(), 0),
    (rehearsal.joint(), 0),
    (rehearsal.distillation(), 0),
    (rehearsal.replay(16), 0),
    (consolidation.l2(), 0),
    (consolidation.ewc(), 0),
    # Scales and shifts of filters, and biases.
    (modulation.scale_shift(), 3 * (4 + 6 + 2)),
    # All changes, as many scores as layers.
    (modulation.taps(), WHOLE + 3),
    (modulation.last_layer('mlp'), 6 * 2 + 2),
  ],
  ids=lambda x: getattr(x, 'name', ''),
)
def test_every_learner_learns_a_stream(learner, stored):
  given = streams.points(2, learning_rate=0.02)
  result = stream.run(KEY, learner, given)
  assert result.stored.tolist() == [WHOLE, stored]
  scores = result.scores['energy']
  alone = np.isnan(scores[0, 1])
  assert np.isfinite(scores[1]).all() and alone == bool(stored)
  # Learners with parameters of a task's own leave the others alone.
  assert (scores[0, 0] == scores[1, 0]) == bool(stored)


@pytest.mark.slow
def test_a_heavy_penalty_holds_the_network():
  schedule = streams.loop.Schedule(40, 20, fast_compile=True)
  given = streams.points(2, schedule, learning_rate=0.02)

  def changed(learner):
    """Squared changes by the second task, and importances before it."""
    first = stream.run(KEY, learner, given[:1]).state
    both = stream.run(KEY, learner, given).state
    squares = jax.tree.map(lambda a, b: (a - b) ** 2, first.params, both.params)
    return squares, first.memory, both.memory

  def largest(tree):
    return max(float(np.max(leaf)) for leaf in jax.tree.leaves(tree))

  assert largest(changed(consolidation.l2(1e4))[0]) < 0.15**2
  free, importance, after = changed(consolidation.ewc(0.0))
  assert largest(free) > 0.15**2
  held, same, _ = changed(consolidation.ewc(1e4))
  agreement.close(importance, same, atol=0)
  # What is important stays, the rest is free.
  weighed = [
    sum(float(np.sum(a * b)) for a, b in zip(
      jax.tree.leaves(importance), jax.tree.leaves(squares), strict=True
    ))
    for squares in (held, free)
  ]  # fmt: skip
  assert weighed[0] < 0.05 * weighed[1]
  # Importances are normalised for each task, and summed over tasks.
  for one, two in zip(*map(jax.tree.leaves, (importance, after)), strict=True):
    np.testing.assert_allclose(np.mean(one), 1.0, rtol=1e-3)
    np.testing.assert_allclose(np.mean(two), 2.0, rtol=1e-3)


@pytest.mark.slow
def test_adapters_learn_a_second_task_of_pairs():
  given = streams.pairs()
  learner = modulation.adapters(group=2, frozen='.*kernel')
  result = stream.run(KEY, learner, given)
  scores = result.scores['l1']
  assert scores[0, 0] == scores[1, 0] and np.isfinite(scores[1, 1])
  # Groups of two channels, pointwise convolutions, residual biases from two
  # channels at most; and the biases of the base.
  features = {
    'down_0': (1, 2),
    'down_1': (2, 4),
    'up_1': (4, 2),
    'up_0': (4, 1),
  }
  wanted = 0
  for inward, outward in features.values():
    wide = min(2, outward)
    wanted += 9 * wide * outward + outward**2 + outward
    groups = np.gcd(inward, outward // wide)
    wanted += 9 * (inward // groups) * outward
  assert result.stored[1] == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
  ('learner', 'carried'),
  [
    (rehearsal.replay(3), 2 * 3 * 8 * 8),
    (rehearsal.joint(), 2 * 2 * 6 * 8 * 8),
    (rehearsal.distillation(), 0),
    (consolidation.ewc(samples=4), None),
  ],
  ids=lambda x: getattr(x, 'name', ''),
)
def test_one_network_learns_pairs(learner, carried):
  given = streams.pairs()
  result = stream.run(KEY, learner, given)
  assert np.isfinite(result.scores['l1']).all()
  # Kept conditions; all images; importances.
  wanted = result.stored[0] if carried is None else carried
  assert result.carried[1] == wanted
  history = result.histories[1]
  assert (history['term/l1'] > 0.0).all()
  if carried == 0:
    # It starts as its own teacher.
    assert history['term/imitation'][0] == 0.0 < history['term/imitation'][1]


@pytest.mark.slow
def test_adapters_start_as_those_of_the_most_similar_task():
  learner = modulation.adapters(group=2, similar=True)
  keys = jax.random.split(streams.KEY, 2)
  first, second = streams.pairs()
  state = learner.init()
  for task in (first, second):
    state, _ = learner.learn(keys, state, task, None)
  before = state.latents[-1]
  # Nothing is learned, so that what is returned is what training starts from.
  still = dataclasses.replace(streams.PAIRED, learning_rate=1e-12)
  for task, wanted in zip(streams.pairs(2, still), (0.0, 1.0), strict=True):
    found, _ = learner.learn(keys, state, task, None)
    chex.assert_trees_all_close(
      found.latents[-1]['adapters'],
      jax.tree.map(lambda x, w=wanted: w * x, before['adapters']),
      atol=1e-7,
    )  # fmt: skip
  assert any(np.any(x) for x in jax.tree.leaves(before['adapters']))
