"""Particles of generators: a barycenter that is known, and failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.methods import learned_particles
from coalesce_jax.methods import particles
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.ot import gaussians
from tests import small


def line(shift, scale):
  """A generator of the normal distribution in the plane."""
  spec = generator_lib.Spec('mlp', 2, (2,))
  network = types.Network(lambda key: {}, lambda params, z: shift + scale * z)
  return generator_lib.Generator(network, {}, spec, None)


def test_normal_generators_have_the_normal_barycenter():
  nodes = [line(-0.5, 0.5), line(0.5, 1.0)]
  found = particles.sample(
    jax.random.key(0), nodes, [0.25, 0.75], count=300, steps=500,
    bandwidth=0.3, scores='kernel',
  )  # fmt: skip
  assert found.samples.shape == (300, 2) and found.bandwidth == 0.3
  # Means and deviations are averaged; those of independent pairs are 0.76.
  np.testing.assert_allclose(found.samples.mean(0), 0.25, atol=0.15)
  np.testing.assert_allclose(found.samples.std(0), 0.875, atol=0.08)
  # W2^2 of each to the barycenter: 0.75^2 and 0.25^2 of 1 and 0.5^2, twice.
  squared = 2.0 * (1.0 + 0.25) * (0.25 * 0.75**2 + 0.75 * 0.25**2)
  assert found.spread == pytest.approx(squared, rel=0.25)
  assert found.converged == (found.speed < particles.REST)
  short = particles.sample(
    jax.random.key(0),
    nodes,
    count=300,
    steps=2,
    bandwidth=0.3,
    scores='kernel',
  )
  assert not short.converged and short.speed > found.speed


def test_the_bandwidth_is_the_median_distance_of_nearest_samples():
  nodes = [line(0.0, jnp.asarray([[1.0, 0.0]]))] * 2
  found = particles.sample(
    jax.random.key(1), nodes, count=101, steps=1, scores='kernel'
  )
  keys = jax.random.split(jax.random.key(1), 3)[1:]
  gaps = []
  for key in keys:
    x = np.sort(np.asarray(nodes[0].sample(key, 101))[:, 0])
    near = np.diff(x)
    gaps.append(np.minimum(np.append(near, np.inf), np.append(np.inf, near)))
  assert found.bandwidth == pytest.approx(float(np.median(gaps)), rel=1e-3)


@pytest.mark.parametrize(
  'nodes,options,message',
  [
    ([line(0.0, 1.0)], {'count': 1}, '^count: 1'),
    ([line(0.0, 1.0)], {'bandwidth': -1.0}, '^bandwidth: -1.0'),
    ([line(1.0, 0.0)], {}, '^bandwidth: most samples'),
    ([line(0.0, 1.0)], {'alpha': 0.0}, '^alpha: 0.0'),
    ([line(0.0, 1.0)], {'weights': [0.5, 0.5]}, '^weights'),
  ],
)
def test_bad_settings_are_named(nodes, options, message):
  with pytest.raises(ValueError, match=message):
    particles.sample(jax.random.key(0), nodes, scores='kernel', **options)


@pytest.mark.slow
def test_critics_sample_the_same_barycenter_as_it_is_known():
  # Turned ellipses of one architecture; the barycenter by the Bures iteration.
  turns = np.array([[[1.0, 0.0], [0.0, 0.3]], [[0.3, 0.0], [0.0, 1.0]]])
  spec = small.VECTORS
  network = types.Network(lambda key: {}, lambda params, z: z @ params['turn'])
  nodes = [
    generator_lib.Generator(network, {'turn': jnp.asarray(t)}, spec, None)
    for t in turns
  ]
  exact = gaussians.gaussian_barycenter(np.zeros((2, 2)), turns @ turns)
  made = learned_particles.Config(learning_rate=3e-3)
  found = learned_particles_of(nodes, spec, made, 1000)
  moment = np.cov(np.asarray(found.barycenter).T)
  np.testing.assert_allclose(moment, exact.covariance, atol=0.06)
  # Independent pairs would have half the mean variance.
  assert np.trace(moment) > 0.75 * np.trace(exact.covariance)
  for j, turn in enumerate(turns):
    np.testing.assert_allclose(
      np.cov(np.asarray(found.inputs[:, j]).T), turn @ turn, atol=0.12
    )


def learned_particles_of(nodes, spec, config, steps):
  """Particles of generators that a spec cannot build."""
  network = nodes[0].network
  params = jax.tree.map(lambda *x: jnp.stack(x), *[n.params for n in nodes])
  source = sources.generators(network, params, 2)
  critic = spec.build_critic()
  return learned_particles.flow(
    jax.random.key(0), [source],
    jnp.stack([n.sample(jax.random.key(k), 300) for k, n in enumerate(nodes)]),
    critic, jax.vmap(critic.init)(jax.random.split(jax.random.key(1))),
    jnp.array([0.5, 0.5]), alpha=10.0, noise=0.3,
    schedule=small.schedule(steps, steps // 10), config=config,
  )  # fmt: skip


@pytest.mark.slow
def test_critics_that_do_not_learn_let_pairs_contract():
  nodes = [small.generator(k) for k in range(2)]
  found = particles.sample(
    jax.random.key(0), nodes, count=40, steps=20, scores='critics',
    learning=learned_particles.Config(1, 8),
  )  # fmt: skip
  assert found.samples.shape == (40, 2) and not found.converged
  drawn = np.stack([n.sample(jax.random.key(5), 4000) for n in nodes])
  deviation = np.sqrt(drawn.var(1).mean())
  assert found.bandwidth == pytest.approx(0.3 * deviation, rel=0.3)
  # Without learning the densities are taken as equal: pairs only contract.
  still = learned_particles.Config(1, 8, learning_rate=1e-12)
  pulled = particles.sample(
    jax.random.key(0), nodes, count=40, steps=60, scores='critics',
    learning=still, bandwidth=1.0, alpha=1.0,
  )  # fmt: skip
  assert pulled.spread < 1e-3


def test_critics_take_generators_of_several_architectures():
  other = small.generator(0, generator_lib.Spec(
    'mlp', 3, (2,), small.OPTIONS, 'mlp', small.OPTIONS
  ))  # fmt: skip
  found = particles.sample(
    jax.random.key(0), [small.generator(0), other], count=9, steps=2,
    learning=learned_particles.Config(1, 4),
  )  # fmt: skip
  assert found.samples.shape == (9, 2)


def test_bad_settings_of_critics_are_named():
  with pytest.raises(ValueError, match="scores: 'none' is not one of"):
    particles.sample(jax.random.key(0), [small.generator(0)], scores='none')
  with pytest.raises(ValueError, match='critic_steps 0 is below 1'):
    learned_particles.Config(critic_steps=0)
  with pytest.raises(ValueError, match='learning_rate -1'):
    learned_particles.Config(learning_rate=-1.0)
