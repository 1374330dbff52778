"""Local density: neighbours, radii and distances against direct loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import distance
from sklearn import neighbors

from coalesce_jax.compress import density
from coalesce_jax.compress import gates

RNG = np.random.default_rng(0)


def test_neighbours_are_the_nearest_by_angle():
  x = RNG.normal(size=(600, 5)) * RNG.uniform(0.1, 9.0, (600, 1))
  found = density.neighbours(x, 4)
  wanted = (
    neighbors.NearestNeighbors(n_neighbors=4, metric='cosine')
    .fit(x)
    .kneighbors(x, return_distance=False)
  )
  np.testing.assert_array_equal(found, wanted)
  # A copy is not taken for the sample itself.
  twice = np.concatenate([x[:3], x[:3]])
  np.testing.assert_array_equal(density.neighbours(twice, 1)[:, 0], range(6))


def test_radii_are_distances_to_the_kth_neighbour():
  x = RNG.normal(size=(600, 3))
  wanted = np.sort(distance.cdist(x, x), 1)[:, 5]
  np.testing.assert_allclose(density.radii(x, 5), wanted, rtol=1e-6)
  with pytest.raises(ValueError, match='neighbour 600 of 600'):
    density.radii(x, 600)


def test_agreement_is_one_where_the_order_of_radii_is_kept():
  x = RNG.normal(size=(200, 3))
  assert density.agreement(x, 3.0 * x + 1.0) == pytest.approx(1.0)
  other = RNG.normal(size=(200, 3))
  assert abs(density.agreement(x, other)) < 0.25
  assert density.agreement(x, np.zeros((200, 3))) == 0.0
  with pytest.raises(ValueError, match='200 samples against 3'):
    density.agreement(x, other[:3])


def test_the_distance_compares_means_of_neighbourhoods():
  real, fake = (RNG.normal(size=(3, 4, 2, 2)) for _ in range(2))
  total = 0.0
  for i in range(3):
    for p in np.ndindex(2, 2):
      total += (np.mean(real[i, :, *p] - fake[i, :, *p]) / 0.5) ** 2
  found = density.distance(jnp.array(real), jnp.array(fake), 0.5)
  np.testing.assert_allclose(found, total / 12, rtol=1e-5)
  # Neighbourhoods that change places are seen locally alone.
  moved = jnp.array(real[::-1])
  assert density.distance(jnp.array(real), moved, 1.0) > 0.01
  assert density.distance(jnp.array(real), moved, 1.0, local=False) < 1e-10


def test_gates_are_zero_or_one_and_have_the_gradient_of_the_sigmoid():
  logits = jnp.array([-9.0, -3.1, -2.9, 4.0])
  np.testing.assert_array_equal(gates.mask(logits), [0.0, 0.0, 1.0, 1.0])
  found = jax.jacobian(gates.mask)(logits)
  s = 1.0 / (1.0 + np.exp(-(np.asarray(logits) + 3.0) / 0.4))
  np.testing.assert_allclose(found, np.diag(s * (1.0 - s) / 0.4), atol=1e-6)
  # One channel stays, whatever the logits.
  np.testing.assert_array_equal(
    gates.mask(jnp.array([-9.0, -7.0, -8.0])), [0.0, 1.0, 0.0]
  )


def test_noise_opens_gates_in_proportion():
  logits = jnp.full(4000, -3.0)
  share = float(gates.mask(logits, jax.random.key(0)).mean())
  # A Gumbel number is positive with probability 1 - 1 / e.
  assert share == pytest.approx(1.0 - np.exp(-1.0), abs=0.03)
