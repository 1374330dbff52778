"""Particles of generators: a barycenter that is known, and failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.methods import particles
from coalesce_jax.models import generator as generator_lib
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
    bandwidth=0.3,
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
    jax.random.key(0), nodes, count=300, steps=2, bandwidth=0.3
  )
  assert not short.converged and short.speed > found.speed


def test_the_bandwidth_is_the_median_distance_of_nearest_samples():
  nodes = [line(0.0, jnp.asarray([[1.0, 0.0]]))] * 2
  found = particles.sample(jax.random.key(1), nodes, count=101, steps=1)
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
    ([small.generator(0, small.IMAGES)], {'count': 1}, '^count: 1'),
    ([line(0.0, 1.0)], {'bandwidth': -1.0}, '^bandwidth: -1.0'),
    ([line(1.0, 0.0)], {}, '^bandwidth: most samples'),
    ([line(0.0, 1.0)], {'alpha': 0.0}, '^alpha: 0.0'),
    ([line(0.0, 1.0)], {'weights': [0.5, 0.5]}, '^weights'),
  ],
)
def test_bad_settings_are_named(nodes, options, message):
  with pytest.raises(ValueError, match=message):
    particles.sample(jax.random.key(0), nodes, **options)
