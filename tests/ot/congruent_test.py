"""Congruent potentials: maps both ways, known barycenters, and failures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from coalesce_jax.ot import congruent
from coalesce_jax.ot import congruent_fitting
from coalesce_jax.ot import gaussians

WEIGHTS = np.array([0.5, 0.3, 0.2])
# Amplitudes of three inputs, whose weighted sums are 0.
SHARES = np.array([[0.4, -0.2], [-0.4, 0.5], [-0.4, -0.25]])


def known(x):
  """Maps of a barycenter to inputs, which are linear nowhere."""
  bent = np.sqrt(0.1 + x**2)
  return np.stack([x + bent * s[None] for s in SHARES])


def base(seed, count=4000):
  """Samples of two clusters of the plane."""
  rng = np.random.default_rng(seed)
  middle = np.where(rng.random((count, 1)) < 0.3, [[1.5, -1.0]], [[-0.6, 0.4]])
  return middle + 0.4 * rng.normal(size=(count, 2))


@functools.cache
def fitted(moments=True):
  x = np.stack([known(base(j))[j] for j in range(3)])
  return congruent_fitting.fit(
    jax.random.key(0), x, WEIGHTS, hidden=16, iterations=40, moments=moments
  )


def error(points, truth):
  """Mean squared error of the maps to the barycenter, relative to variances."""
  gaps = ((np.asarray(points) - truth[None]) ** 2).sum(2).mean()
  return gaps / np.trace(np.cov(truth.T))


def linear_maps(means, covariances):
  """The maps of Gaussians to their barycenter, `y -> (y - m) T + mean`."""
  truth = gaussians.gaussian_barycenter(means, covariances, WEIGHTS)
  for mean, covariance in zip(means, covariances, strict=True):
    root = gaussians.matrix_root(covariance)
    back = np.linalg.inv(root)
    middle = gaussians.matrix_root(root @ truth.covariance @ root)
    yield lambda y, m=mean, t=back @ middle @ back: (y - m) @ t + truth.mean


@pytest.mark.slow
@pytest.mark.parametrize('moments', [True, False])
def test_known_maps_are_found_where_no_linear_ones_are_near(moments):
  truth, found = base(10), fitted(moments)
  samples = known(truth)
  made = congruent.to_barycenter(found.potentials, samples)
  assert made.residual < 1e-2
  exact = np.stack([s for s in samples])
  maps = linear_maps(exact.mean(1), np.stack([np.cov(s.T) for s in exact]))
  control = np.stack([t(y) for t, y in zip(maps, exact, strict=True)])
  assert 3.0 * error(made.points, truth) < error(control, truth)
  assert found.held_out.min() < -1e-3
  # Values of the samples fall at each iteration.
  assert (np.diff(found.values) < 1e-6).all()


@pytest.mark.slow
def test_maps_to_the_inputs_average_to_the_identity():
  found = fitted().potentials
  x = base(3)
  maps = np.asarray(congruent.to_inputs(found, x))
  np.testing.assert_allclose(np.tensordot(WEIGHTS, maps, 1), x, atol=1e-5)
  # They are the maps back, inverted.
  back = congruent.to_barycenter(found, maps)
  assert error(back.points, x) < 1e-3 and back.residual < 1e-2


@pytest.mark.parametrize(
  'moments', [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_gaussians_have_the_maps_of_the_bures_fixed_point(moments):
  rng = np.random.default_rng(0)
  factors = 0.5 * rng.normal(size=(3, 2, 2)) + np.eye(2)[None]
  means = rng.normal(size=(3, 2))
  x = rng.normal(size=(3, 4000, 2)) @ factors + means[:, None]
  found = congruent_fitting.fit(
    jax.random.key(0), x, WEIGHTS, hidden=16, moments=moments, iterations=40
  )
  maps = linear_maps(means, factors.swapaxes(1, 2) @ factors)
  made = congruent.to_barycenter(found.potentials, x[:, :500]).points
  for points, samples, exact in zip(made, x[:, :500], maps, strict=True):
    truth = exact(samples)
    gap = ((points - truth) ** 2).sum(1).mean()
    assert gap < 0.01 * np.trace(np.cov(truth.T))


def test_a_gradient_is_that_of_its_potential():
  rng = np.random.default_rng(1)
  one = congruent.Surface(
    jnp.asarray(np.eye(3) + 0.1), *(jnp.asarray(rng.normal(size=shape))
    for shape in ((3,), (4,), (4, 3), (4,)))
  )  # fmt: skip
  x = rng.normal(size=(5, 3)) * 3.0
  found = congruent.gradient(one, jnp.asarray(x, jnp.float32))

  def potential(p):
    hidden = np.log(np.cosh(one.directions @ p + one.offsets))
    square = 0.5 * p @ np.asarray(one.matrices) @ p + one.shifts @ p
    return float(square + one.amplitudes @ hidden)

  values = congruent.value(one, jnp.asarray(x, jnp.float32))
  for row, value, slope in zip(x, values, found, strict=True):
    assert float(value) == pytest.approx(potential(row), rel=1e-4, abs=1e-3)
    expected = optimize.approx_fprime(row, potential, 1e-3)
    np.testing.assert_allclose(slope, expected, atol=2e-2, rtol=1e-2)


FIT = functools.partial(congruent_fitting.fit, jax.random.key(0))
GOOD = np.random.default_rng(0).normal(size=(2, 50, 3))


@pytest.mark.parametrize(
  'samples,options,message',
  [
    (GOOD[0], {}, '^samples: shape'),
    (GOOD * np.nan, {}, r'^samples\[0\]: values'),
    (GOOD[:, :3], {}, '^samples: 3 for 3 dimensions'),
    (GOOD * [1.0, 1.0, 0.0], {}, '^covariances: none has full rank'),
    (GOOD, {'weights': [1.0]}, '^weights: shape'),
    (GOOD, {'held_out': 1.0}, '^held_out: 1.0'),
    (GOOD, {'hidden': -1}, '^hidden: -1'),
    (GOOD, {'iterations': 0}, '^iterations: 0'),
    (GOOD, {'patience': 0}, '^patience: 0'),
  ],
)
def test_bad_samples_and_settings_are_named(samples, options, message):
  with pytest.raises(ValueError, match=message):
    FIT(samples, **options)


@pytest.mark.parametrize('shape', [(3, 4, 3), (2, 4, 2), (3, 2), (3, 0, 2)])
def test_samples_that_do_not_fit_the_potentials_are_refused(shape):
  with pytest.raises(ValueError, match='^samples: '):
    congruent.to_barycenter(fitted().potentials, np.zeros(shape))
