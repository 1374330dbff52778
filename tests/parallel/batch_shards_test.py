"""Shares of a batch: together they are the game of the whole batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import sources
from coalesce_jax.parallel import batch_shards
from coalesce_jax.training import optimizers
from coalesce_jax.transforms import base
from tests import small


def parted(fn, parts):
  """A function played by every share, and their results, along axis 0."""

  def part(*args):
    with batch_shards.split(parts):
      return fn(*args)

  return jax.vmap(
    part, in_axes=None, axis_name=batch_shards.AXIS, axis_size=parts, out_axes=0
  )


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_rows_are_dealt_in_turns(axis):
  def draw(n):
    return jnp.moveaxis(jnp.arange(2 * 3 * n).reshape(n, 2, 3), 0, axis)

  whole = jnp.moveaxis(draw(12), axis, 0)
  parts = parted(lambda: batch_shards.rows(draw, 4, axis), 3)()
  for i, part in enumerate(parts):
    np.testing.assert_array_equal(jnp.moveaxis(part, axis, 0), whole[i::3])


def test_a_share_alone_is_the_whole():
  tree = {'a': jnp.ones(3)}
  assert batch_shards.mean(tree) is tree
  assert batch_shards.size(7) == 7
  assert batch_shards.rows(jnp.arange, 3).tolist() == [0, 1, 2]


def test_means_are_over_shares_leaf_by_leaf():
  def tree():
    x = batch_shards.rows(lambda n: jnp.arange(6.0).reshape(n, 3), 1)
    return batch_shards.mean({'x': x, 'of': (x[0, 0], x[:, 1:])})

  found = parted(tree, 2)()
  for part in range(2):
    np.testing.assert_allclose(found['x'][part], [[1.5, 2.5, 3.5]])
    np.testing.assert_allclose(found['of'][0][part], 1.5)
    np.testing.assert_allclose(found['of'][1][part], [[2.5, 3.5]])


def test_small_shares_of_a_cpu_have_a_core_each():
  assert batch_shards.count() == 1 and not batch_shards.one_core()
  with batch_shards.split(2):
    assert batch_shards.count() == 2 and batch_shards.one_core()
    with batch_shards.split(1):
      assert not batch_shards.one_core()
    assert batch_shards.size(8) == 4
  assert batch_shards.count() == 1
  # 64 images of 8 pixels, and of 28.
  assert not batch_shards.in_turns(64 * 8 * 8)
  assert batch_shards.in_turns(64 * 28 * 28)


def test_unequal_shares_are_refused():
  with (
    batch_shards.split(3),
    pytest.raises(ValueError, match='no 3 equal shards'),
  ):
    batch_shards.size(8)


def in_turns(optimizer, latent):
  return optimizers.phased(optimizer, ('.*bias', '.*'), latent)


def problem(spec=small.VECTORS, phases=False, **settings):
  """A game whose sources are of every kind."""
  network = spec.build()
  reparam = base.identity()
  played, state, inputs, key = small.made(
    small.config(critic_steps=1, beta1=0.5, **settings), spec, count=5,
    reparam=reparam._replace(optimizers=in_turns) if phases else reparam,
  )  # fmt: skip
  params = jax.vmap(network.init)(jax.random.split(key, 2))
  frozen = sources.generators(network, params, spec.latent_size)
  half = jnp.full(2, 0.5)
  parts = (
    inputs.sources[0],
    sources.mixture(network, params, half, spec.latent_size),
    sources.pooled((frozen,), half),
    frozen,
  )
  return played, state, inputs._replace(sources=parts, held_out=parts), key


def compared(result):
  """Moments of all gradients, distances and metrics.

  Not the parameters: Adam moves those that no gradient moves by the signs of
  what rounding leaves.
  """
  state, metrics = result
  return jax.tree.leaves(
    (state.critic_optimizer, state.generator_optimizer, state.w1, metrics)
  )


@pytest.mark.parametrize(
  'settings',
  [
    {'objective': 'w1_squared'},
    pytest.param(
      {'objective': 'ball', 'paired': True, 'phases': True},
      marks=pytest.mark.slow,
    ),
    pytest.param({'reuse_batch': True}, marks=pytest.mark.slow),
    pytest.param(
      {'spec': small.IMAGES, 'augment': 'translation,cutout,flip'},
      marks=pytest.mark.slow,
    ),
  ],
)
def test_shares_play_the_game_of_the_whole_batch(settings):
  played, state, inputs, key = problem(**settings)
  step = played.step.__wrapped__
  alone = jax.jit(step)(state, inputs, key)
  together = jax.jit(parted(step, 2))(state, inputs, key)
  assert int(alone[0].step) == 1
  for a, b in zip(compared(alone), compared(together), strict=True):
    for part in b:
      np.testing.assert_allclose(part, a, rtol=1e-3, atol=1e-6)
