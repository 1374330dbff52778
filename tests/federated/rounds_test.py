"""Rounds: one program over nodes equals nodes one after another; resuming."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.core import trees
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import learn
from coalesce_jax.federated import meta
from coalesce_jax.federated import rounds
from coalesce_jax.training import loop
from tests.federated import small


def close(found, wanted, **tolerance):
  """Compares all leaves by name."""
  other = trees.flatten(wanted)
  for name, leaf in trees.flatten(found).items():
    np.testing.assert_allclose(leaf, other[name], err_msg=name, **tolerance)


ORDER = {small.DENSE: 'backbone', small.SPEC: 'gates_first'}


@functools.cache
def made(spec=small.DENSE, **changes):
  """A compiled round of first order, a state, its nodes and a key."""
  config = small.config(second_order=False, order=ORDER[spec], **changes)
  task = rounds.make(spec, config, small.SHAPE)
  nodes, key = small.nodes(), jax.random.key(7)
  state = jax.jit(task.init)(key, nodes)
  start = small.params(spec)
  state = state._replace(meta=start, step=jnp.int32(3))
  if changes.get('personal_gates'):
    personal = jax.tree.map(
      lambda x: jnp.broadcast_to(x, (5, *x.shape)), start['gates']
    )
    state = state._replace(personal=personal)
  return config, jax.jit(task.step), state, nodes, key


def one_by_one(config, state, nodes, key, spec=small.DENSE):
  """The local results of the nodes of a round in a Python loop."""
  key_nodes, key_local = jax.random.split(jax.random.fold_in(key, state.step))
  some = jax.random.permutation(key_nodes, 5)[: config.nodes]
  local = jax.jit(
    functools.partial(rounds.local, spec, config, small.SHAPE, nodes)
  )
  keys = jax.random.split(key_local, config.nodes)
  found = [
    local(state.step, state.meta, n, k) for n, k in zip(some, keys, strict=True)
  ]
  weights = np.asarray(nodes.samples)[np.asarray(some)]
  return np.asarray(some), found, weights / weights.sum()


def weighted(parts, weights):
  return jax.tree.map(
    lambda *xs: sum(w * x for w, x in zip(weights, xs, strict=True)), *parts
  )


@pytest.mark.slow
def test_nodes_side_by_side_give_what_nodes_in_turn_give():
  change = {'server': 'average', 'local_steps': 2}
  # Two nodes, and the third after them.
  _, step, state, nodes, key = made(at_once=2, **change)
  _, turns, *_ = made(**change)
  some, other = (f(state, nodes, key)[0].meta for f in (step, turns))
  close(some, other, atol=2e-6)


def test_nodes_of_a_round_are_computed_in_turn_on_a_cpu():
  default = None if jax.default_backend() == 'cpu' else 3
  for chosen, wanted in ((0, default), (1, None), (2, 2), (5, 3)):
    assert rounds.at_once(small.config(at_once=chosen), 3) == wanted
  with pytest.raises(ValueError, match='at_once -1 is negative'):
    small.config(at_once=-1)


def test_a_round_averages_what_its_nodes_end_with():
  config, step, state, nodes, key = made(server='average', local_steps=2)
  after, metrics = step(state, nodes, key)
  some, found, weights = one_by_one(config, state, nodes, key)
  assert len(set(np.round(weights, 6))) == 2  # Nodes have 10 or 12 images.
  close(after.meta, weighted([end for end, _, _ in found], weights), atol=2e-6)
  assert int(after.step) == 4
  mean = weighted([gradient for _, gradient, _ in found], weights)
  squared = sum(float(jnp.sum(x * x)) for x in jax.tree.leaves(mean))
  np.testing.assert_allclose(metrics['gradient_squared'], squared, rtol=1e-4)
  loss = weighted([each['loss'] for _, _, each in found], weights)
  np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-5)


@pytest.mark.slow
def test_adam_takes_the_way_to_the_average_as_its_gradient():
  config, step, state, nodes, key = made()
  after, _ = step(state, nodes, key)
  _, found, weights = one_by_one(config, state, nodes, key)
  gradient = weighted([each for _, each, _ in found], weights)
  adam, before = optax.adam(config.server_rate), state.meta['backbone']
  updates, _ = adam.update(gradient['backbone'], adam.init(before))
  wanted = trees.flatten(optax.apply_updates(before, updates))
  for name, leaf in trees.flatten(after.meta['backbone']).items():
    # Where the gradient is all but zero, rounding gives Adam's step its sign.
    sure = np.abs(trees.flatten(gradient['backbone'])[name]) > 1e-5
    np.testing.assert_allclose(leaf[sure], wanted[name][sure], atol=2e-5)
  moved = jax.tree.map(
    lambda a, b: float(jnp.abs(a - b)), after.meta['rates'], state.meta['rates']
  )
  largest = max(jax.tree.leaves(moved))
  np.testing.assert_allclose(largest, 10 * config.server_rate, rtol=1e-2)


@pytest.mark.slow
def test_personal_gates_stay_at_their_nodes():
  config, step, state, nodes, key = made(
    small.SPEC, server='average', personal_gates=True, one_step=False
  )
  after, _ = step(state, nodes, key)
  some, found, _ = one_by_one(config, state, nodes, key, small.SPEC)
  for i in range(5):
    mine = trees.member(after.personal, i)
    wanted = state.meta['gates']
    if i in some:
      wanted = found[list(some).index(i)][0]['gates']
    close(mine, wanted, atol=2e-6)
  mean = jax.tree.map(lambda x: jnp.mean(x, 0), after.personal)
  close(after.meta['gates'], mean, atol=1e-6)


@pytest.mark.slow
def test_images_are_augmented_in_training_if_asked():
  losses = []
  for augment in ('', 'translation:0.3', 'translation:0.3'):
    _, step, state, nodes, key = made(augment=augment)
    losses.append(float(step(state, nodes, key)[1]['loss']))
  assert losses[0] != losses[1] == losses[2]
  with pytest.raises(ValueError, match="augmentation 'turn' is not one of"):
    small.config(augment='turn')


def trained(validation=None, **effects):
  """Two seeds of a short run, and its history."""
  schedule = loop.Schedule(2, 1, select_every=1, save_seconds=0.0)
  config = small.config(schedule=schedule, second_order=False, order='backbone')
  return learn.metagater(
    jax.random.split(jax.random.key(1), 2), small.nodes(), small.DENSE,
    small.SHAPE, config=config, validation=validation,
    hooks=loop.Hooks(**effects),
  )  # fmt: skip


@pytest.mark.slow
def test_no_round_is_kept_before_channels_have_closed():
  scored = []
  for spec, closing in ((small.SPEC, 0.6), (small.SPEC, 0.0), (small.DENSE, 1)):
    steps = []
    schedule = loop.Schedule(3, 1, select_every=1)
    learn.metagater(
      jax.random.key(1), small.nodes(), spec, small.SHAPE,
      config=small.config(
        schedule=schedule, second_order=False, closing=closing
      ),
      validation=small.nodes(),
      hooks=loop.Hooks(scored=lambda step, error, s=steps: s.append(step)),
    )  # fmt: skip
    scored.append(steps)
  assert scored == [[2, 3], [1, 2, 3], [1, 2, 3]]


@pytest.mark.slow
def test_a_resumed_run_equals_the_whole_run():
  kept, (whole, history) = {}, trained()
  save = lambda step, tree: kept.update(last=(step, tree))
  with pytest.raises(loop.Interrupted):
    trained(save=save, stop=lambda: True)
  assert kept['last'][0] == 1
  resumed, rest = trained(restore=lambda like: kept['last'])
  for a, b in zip(*map(jax.tree.leaves, (whole, resumed)), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
  assert list(history['step']) == [1, 2] and list(rest['step']) == [2]
  assert history['accuracy'].shape == (2, 2)


@pytest.mark.slow
def test_early_stopping_keeps_what_validation_nodes_prefer():
  scores, states = {}, {}
  best, _ = trained(
    small.nodes(),
    scored=lambda step, values: scores.update({step: values}),
    save=lambda step, tree: states.update({step: tree['state'].meta}),
  )
  assert sorted(scores) == [1, 2] and scores[1].shape == (2,)
  for s in range(2):
    step = min(scores, key=lambda k: (scores[k][s], k))
    close(trees.member(best.params, s), trees.member(states[step], s), atol=0)


@pytest.mark.slow
def test_scores_are_those_of_tasks_one_after_another():
  spec, params = small.SPEC, small.params(small.SPEC)
  config, drawn = small.config(), evaluation.draw(
    small.nodes(), small.SHAPE, 3, 0
  )  # fmt: skip
  scores = evaluation.scorer(spec, config, False)(params, drawn)

  @jax.jit
  def judged(task, images):
    apply = spec.build().apply
    adapted = meta.adapt(spec, config, params, task.support)
    support = task.support.images.astype(jnp.float32) / 127.5 - 1.0
    return (
      apply(adapted, images), apply(params, images).logits,
      apply(adapted, support).gates, adapted,
    )  # fmt: skip

  for t in range(3):
    task = trees.member(drawn, t)
    images = task.query.images.astype(np.float32) / 127.5 - 1.0
    outputs, first, gates, adapted = judged(task, images)
    right = np.mean(np.argmax(outputs.logits, -1) == task.query.labels)
    np.testing.assert_allclose(scores.accuracy[t], right)
    macs = np.mean([
      9 * 4 * 16 * 1 + 4 * 16 + 16 * 4 + 4 * 2
      + 2 * 9 * 4 * 4 * 16 * float(jnp.mean(outputs.gates[0][:, b]))
      for b in range(len(images))
    ])  # fmt: skip
    np.testing.assert_allclose(scores.macs[t], macs, rtol=1e-5)
    right = np.mean(np.argmax(first, -1) == task.query.labels)
    np.testing.assert_allclose(scores.before[t], right)
    # The copy of the channels that most images of the support open.
    shares = [np.mean(gate, 1) for gate in gates]
    for found, share in zip(scores.gates, shares, strict=True):
      np.testing.assert_allclose(found[t], share, rtol=1e-5)
    if t:
      continue
    kept = [(share >= 0.5) | (share == share.max()) for share in shares]
    small_spec, small_params = classifier.static(spec, adapted, kept)
    copy = jax.jit(small_spec.build().apply)(small_params, images).logits
    right = np.mean(np.argmax(copy, -1) == task.query.labels)
    np.testing.assert_allclose(scores.static_accuracy[t], right)
    cost = classifier.total(small_spec)
    np.testing.assert_allclose(scores.static_macs[t], cost, rtol=1e-5)
  # The third task is of the third node: bits of its first image say so.
  owned = np.asarray(small.nodes().rows[2])[:, :6].reshape(-1)
  images = np.asarray(small.nodes().images)[owned]
  first = np.asarray(drawn.support.images[2, 0])
  assert any(np.array_equal(first, image) for image in images)


def test_nodes_that_do_not_fit_the_network_are_refused():
  args = jax.random.key(0), small.nodes(), small.SPEC
  with pytest.raises(ValueError, match='3 classes, the network has 2 outputs'):
    learn.metagater(*args, tasks.Shape(3, 2, 2))
  other = small.nodes()._replace(images=jnp.zeros((9, 8, 8, 1), jnp.uint8))
  with pytest.raises(ValueError, match=r'images \(8, 8, 1\), the network'):
    learn.metagater(args[0], other, small.SPEC, small.SHAPE)
