"""Refined samples: where a critic moves them, and what draws them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import refined_source
from coalesce_jax.gan import sources
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from tests import small

# Two latents to two numbers, scaled; and a critic of one slope everywhere.
SCALED = types.Network(lambda key: {}, lambda params, z: params['scale'] * z)
LINEAR = types.Network(lambda key: {}, lambda params, x: x @ params['slope'])
SLOPE = jnp.array([0.6, 0.8])


def moved(z, *, scale=2.0, **changes):
  return refined_source.move(
    SCALED, LINEAR, {'scale': jnp.float32(scale)}, {'slope': SLOPE}, z,
    refined_source.Config(**changes),
  )  # fmt: skip


def test_without_a_pull_latents_climb_the_critic():
  z = jax.random.normal(jax.random.key(0), (5, 2))
  found = moved(z, steps=4, rate=0.25, pull=0.0)
  # The slope in the latents is that of the critic times the scale.
  np.testing.assert_allclose(found, z + 2.0 * SLOPE[None], rtol=1e-5)


def test_a_pull_above_the_slope_holds_samples_where_they_are():
  z = jax.random.normal(jax.random.key(1), (5, 2))
  still = moved(z, steps=50, rate=0.01, pull=3.0)
  assert np.abs(still - z).max() < 0.05
  away = moved(z, steps=50, rate=0.01, pull=1.0)
  np.testing.assert_allclose(away, z + 0.5 * SLOPE[None], atol=0.03)


def test_the_potential_of_w1_brings_samples_to_their_target():
  # Mass at 0 should lie at (3, 4); the potential is minus the distance to it.
  target = jnp.array([3.0, 4.0])
  distance = types.Network(
    lambda key: {},
    lambda params, x: -jnp.sqrt(jnp.sum((x - target[None]) ** 2, -1) + 1e-6),
  )
  z = 0.1 * jax.random.normal(jax.random.key(2), (100, 2))
  found = refined_source.move(
    SCALED, distance, {'scale': jnp.float32(1.0)}, {}, z,
    refined_source.Config(steps=200, rate=0.1, pull=0.5),
  )  # fmt: skip
  gap = np.linalg.norm(np.asarray(found) - np.asarray(target)[None], axis=1)
  assert gap.max() < 0.2


def test_a_source_draws_what_each_critic_moved():
  params = {'scale': jnp.array([1.0, 2.0])}
  critics = {'slope': jnp.stack([SLOPE, -SLOPE])}
  config = refined_source.Config(steps=1, rate=1.0, pull=0.0)
  source = refined_source.generators(SCALED, LINEAR, params, critics, 2, config)
  plain = sources.generators(SCALED, params, 2)
  key = jax.random.key(3)
  found = sources.draw((source,), key, 7)
  shift = jnp.stack([SLOPE, -4.0 * SLOPE])[:, None]
  np.testing.assert_allclose(
    found, sources.draw((plain,), key, 7) + shift, rtol=1e-5, atol=1e-6
  )
  assert sources.total((source,)) == 2


def test_fixed_samples_are_drawn_some_at_a_time():
  params = {'scale': jnp.array([0.1, 0.2])}
  part = sources.generators(SCALED, params, 2)
  one, two = sources.fixed((part,), jax.random.key(4), 1000, batch=300)
  for source, scale in ((one, 0.1), (two, 0.2)):
    samples = np.asarray(source.data['samples'])
    assert samples.dtype == np.uint8 and samples.shape == (1000, 2)
    assert len(np.unique(samples, axis=0)) > 300
    np.testing.assert_allclose(samples.std() / 127.5, scale, rtol=0.1)


@pytest.mark.parametrize(
  'changes,match',
  [({'steps': 0}, 'steps'), ({'rate': 0.0}, 'rate'), ({'pull': -1.0}, 'pull')],
)
def test_bad_settings_are_refused(changes, match):
  with pytest.raises(ValueError, match=f'^refine: {match}'):
    refined_source.Config(**changes)


def test_a_barycenter_of_refined_samples_needs_a_critic_of_each():
  with pytest.raises(ValueError, match='needs fixed_samples'):
    barycenter.Config(refine=refined_source.Config())
  config = barycenter.Config(fixed_samples=10, refine=refined_source.Config())
  nodes = [small.generator(k)._replace(critic=None) for k in (0, 1)]
  with pytest.raises(ValueError, match='critic with every generator'):
    barycenter.barycenter(jax.random.key(0), nodes, config=config)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['mixture', 'joint'])
def test_a_barycenter_learns_from_refined_samples(method):
  nodes = [small.generator(k) for k in (0, 1)]
  refined = barycenter.Config(
    game=small.config(), schedule=small.schedule(), warmup=1,
    fixed_samples=20, refine=refined_source.Config(steps=2),
  )  # fmt: skip
  plain = dataclasses.replace(refined, refine=None)
  made = [
    barycenter.barycenter(
      jax.random.key(0), nodes, method=method, config=config
    )[0]
    for config in (refined, plain)
  ]
  leaves = [np.concatenate([x.ravel() for x in jax.tree.leaves(m.params)])
            for m in made]  # fmt: skip
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert not np.allclose(*leaves)


def test_members_of_an_ensemble_are_moved_as_each_alone():
  params = {'scale': jnp.array([1.0, 2.0, 3.0])}
  critics = {'slope': jnp.stack([SLOPE, -SLOPE, 2.0 * SLOPE])}
  z = jax.random.normal(jax.random.key(5), (3, 4, 2))

  def one(params, critics, z):
    config = refined_source.Config(steps=3)
    return refined_source.move(SCALED, LINEAR, params, critics, z, config)

  together = jax.vmap(one)(params, critics, z)
  for s in range(3):
    alone = one(
      {'scale': params['scale'][s]}, {'slope': critics['slope'][s]}, z[s]
    )
    np.testing.assert_allclose(together[s], alone, rtol=1e-5, atol=1e-6)


def test_samples_without_a_slope_stay_where_they_are():
  broken = types.Network(
    lambda key: {}, lambda params, x: jnp.sqrt(x.sum(-1) - 100.0)
  )
  z = jnp.ones((4, 2))
  found = refined_source.move(
    SCALED, broken, {'scale': jnp.float32(1.0)}, {}, z, refined_source.Config()
  )
  np.testing.assert_array_equal(found, z)


def test_a_recursion_is_not_refined():
  config = barycenter.Config(fixed_samples=10, refine=refined_source.Config())
  nodes = [small.generator(k) for k in (0, 1)]
  with pytest.raises(ValueError, match="goes with method 'joint' or 'mixture'"):
    barycenter.barycenter(
      jax.random.key(0), nodes, method='recursive', config=config
    )


@pytest.mark.parametrize('stage', [barycenter, adaptation])
def test_a_negative_number_of_fixed_samples_is_refused(stage):
  with pytest.raises(ValueError, match='fixed_samples -5 is negative'):
    stage.Config(fixed_samples=-5)
