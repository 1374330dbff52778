"""The generator's part: its average, its terms, what the critics see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import buffers
from coalesce_jax.gan import game
from coalesce_jax.gan import generators
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms
from coalesce_jax.transforms import base
from coalesce_jax.transforms import masks
from tests import small

KEY = jax.random.key(0)


@pytest.mark.parametrize(
  ('count', 'decay'), [(1, 2 / 11), (9, 10 / 19), (9e6, 0.9)]
)
def test_early_averages_forget_the_start(count, decay):
  after = generators.averaged(0.9, jnp.float32(count), 1.0, 3.0)
  np.testing.assert_allclose(after, decay * 1.0 + (1 - decay) * 3.0, rtol=1e-5)


def test_frozen_leaves_stay_and_cost_no_optimizer_state_and_no_average():
  frozen = masks.freeze(('out/.*',))
  played, state, inputs, key = small.made(small.config(), reparam=frozen)
  after, _ = played.step(state, inputs, key)
  full = small.generator().params
  free = {k: v for k, v in full.items() if k != 'out'}
  size = sum(leaf.size for leaf in jax.tree.leaves(free))
  assert sum(x.size for x in jax.tree.leaves(after.ema)) == size
  moments = jax.tree.leaves(after.generator_optimizer)
  assert sum(x.size for x in moments if x.ndim) == 2 * size
  model = played.model(after)
  np.testing.assert_array_equal(model['out']['kernel'], full['out']['kernel'])
  assert jax.tree.structure(model) == jax.tree.structure(full)
  moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), model, full)
  assert max(jax.tree.leaves(moved['dense_0'])) > 0.0


def test_a_penalty_of_latent_parameters_is_part_of_the_loss():
  shrink = base.identity()._replace(
    penalty=lambda latent, frozen: 1e4 * jnp.sum(latent['out']['kernel'] ** 2)
  )
  settings = small.config(learning_rate=0.01)
  played, state, inputs, key = small.made(settings, reparam=shrink)
  sizes = []
  for _ in range(5):
    sizes.append(float(np.sum(np.square(state.generator['out']['kernel']))))
    state, metrics = played.step(state, inputs, key)
  assert sizes == sorted(sizes, reverse=True)
  np.testing.assert_allclose(
    metrics['term/penalty'], 1e4 * sizes[-1], rtol=1e-5
  )


def test_a_term_that_is_no_number_is_refused():
  term = terms.Term(lambda params, batch, data: batch.samples, 'wide')
  played, state, inputs, key = small.made(small.config(), terms=(term,))
  inputs = inputs._replace(terms={'wide': ()})
  with pytest.raises(AssertionError, match="term 'wide'"):
    jax.eval_shape(played.step, state, inputs, key)


def test_as_many_critics_as_sources_are_needed():
  with pytest.raises(AssertionError, match='prefix'):
    small.made(small.config(), count=2, critics=3)


def test_terms_of_one_name_are_refused():
  term = terms.Term(lambda params, batch, data: jnp.float32(0.0), 'twice')
  with pytest.raises(ValueError, match='twice'):
    small.made(small.config(), terms=(term, term))


def both(params, prior):
  ways = {'ab': 'a', 'ba': 'b'}
  return {way: prior[x] + params[way][None] for way, x in ways.items()}


def test_two_generators_in_one_tree_have_critics_of_their_own():
  """Each critic sees the fakes of its own generator, through its own pool."""
  a, b = jnp.zeros((5, 2)), 10.0 + jnp.zeros((5, 2))
  task = game.make(
    small.config(learning_rate=0.5, critic_steps=1),
    generator=types.Network(None, both),
    critic=types.Network(None, lambda params, x: x @ params),
    view=lambda prior, made: jnp.stack([made['ab'], made['ba']]),
    buffer=buffers.pool(3),
  ).task
  inputs = game.inputs(
    (sources.array(b), sources.array(a)),
    prior=sources.together({'a': sources.array(a), 'b': sources.array(b)}),
    critic_rate=0.0,
  )
  params = {'ab': jnp.zeros(2), 'ba': jnp.zeros(2)}
  critics = jnp.array([[1.0, 0.0], [0.0, 1.0]])
  state = task.init(KEY, params, critics, inputs)
  assert state.buffer['images'].shape == (2, 3, 2)
  after, metrics = jax.jit(task.step)(state, inputs, KEY)
  # Critic 0 pulls generator ab along its own axis alone, critic 1 likewise.
  moved = after.generator
  assert moved['ab'][0] > 0.1 and moved['ba'][1] > 0.1
  np.testing.assert_allclose([moved['ab'][1], moved['ba'][0]], 0.0, atol=1e-6)
  # Scores of b less those of a, along one axis: 10 and -10.
  np.testing.assert_allclose(metrics['w1'], [10.0, -10.0], rtol=1e-3)
  assert after.buffer['count'].tolist() == [3, 3]
  assert set(np.unique(after.buffer['images'][0])) == {0.0}


def test_augmentation_reaches_real_and_fake_alike():
  """One image everywhere: whatever is augmented alike leaves no distance."""
  image = jnp.ones((8, 8, 1))
  task = game.make(
    small.config(
      augment='cutout:0.9', critic_steps=1, batch_size=512, penalty='none',
      critic_learning_rate=1e-6,
    ),
    generator=types.Network(
      None, lambda params, z: jnp.broadcast_to(params, (len(z), 8, 8, 1))
    ),
    critic=types.Network(None, lambda params, x: params * x.sum((1, 2, 3))),
  ).task  # fmt: skip
  inputs = game.inputs(
    (sources.array(image[None]),), prior=sources.normal(1), generator_rate=0.0
  )
  state = task.init(KEY, image, jnp.ones(1), inputs)
  _, metrics = jax.jit(task.step)(state, inputs, KEY)
  # Squares of 7 of 8 pixels: about half of the 64 pixels go.
  for name in ('w1', 'train_gap'):
    assert 0.0 < abs(float(metrics[name][0])) < 6.0
