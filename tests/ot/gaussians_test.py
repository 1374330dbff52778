"""Gaussians: closed forms against matrix roots, simulation and each other."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import integrate
from scipy import linalg
from scipy import stats

from coalesce_jax.metrics import frechet
from coalesce_jax.ot import exact
from coalesce_jax.ot import gaussians


def covariances(count, dimension, seed=0):
  square = np.random.default_rng(seed).normal(
    size=(count, dimension, dimension)
  )
  return square @ square.transpose(0, 2, 1) + 0.1 * np.eye(dimension)[None]


@pytest.mark.parametrize('dimension', [1, 3, 40])
def test_bures_equals_the_matrix_root_of_scipy(dimension):
  a, b = covariances(2, dimension)
  root = linalg.sqrtm(a)
  cross = linalg.sqrtm(root @ b @ root).real
  expected = np.trace(a + b - 2.0 * cross)
  assert gaussians.bures_squared(a, b) == pytest.approx(expected, rel=1e-9)
  assert gaussians.bures_squared(a, a) == pytest.approx(0.0, abs=1e-8)
  moments = [frechet.Moments(np.zeros(dimension), c, 10) for c in (a, b)]
  assert frechet.frechet_squared(*moments) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('far', [1.0, 1e4])
@pytest.mark.parametrize('scale', [1e-6, 1.0, 1e6])
def test_large_variances_hide_no_small_ones(far, scale):
  turn = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
  one = np.array([far, 1.0, 1.0, 2.0, 0.0])
  other = np.array([far, 2.0, 1.5, 2.0, 0.0])
  a, b = ((turn * (scale * s) ** 2) @ turn.T for s in (one, other))
  expected = scale**2 * ((one - other) ** 2).sum()
  assert gaussians.bures_squared(a, b) == pytest.approx(expected, rel=1e-6)
  assert gaussians.bures_squared(a, a) == 0.0


def test_variances_that_hide_the_distance_are_refused():
  turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
  a, b = ((turn * np.array([1e15, 1.0, v])) @ turn.T for v in (1.0, 4.0))
  with pytest.raises(ValueError, match='^c1, c2: .* hides'):
    gaussians.bures_squared(a, b)


def test_lines_and_norms_take_any_number():
  # A shift without a change of scale, nearly.
  assert gaussians.line_w1(1e200, 1.0, 0.0, 1.0 + 1e-12) == 1e200
  assert gaussians.line_w1(0.0, 1.0, 1e200, 1.0 + 1e-12) == 1e200
  # The norm's mean is sqrt(D) (1 - 1 / 4D) for large D.
  assert gaussians.mean_norm(10**12) == pytest.approx(1e6, rel=1e-12)


def test_frechet_adds_the_means():
  a, b = covariances(2, 3)
  value = gaussians.frechet_squared([0.0, 0.0, 0.0], a, [3.0, 0.0, 4.0], b)
  assert value == pytest.approx(25.0 + gaussians.bures_squared(a, b))


def test_barycenter_of_scalings_is_the_mean_scale():
  parts = [s**2 * np.eye(4) for s in (1.0, 2.0, 6.0)]
  found = gaussians.gaussian_barycenter(np.zeros((3, 4)), parts)
  np.testing.assert_allclose(found.covariance, 9.0 * np.eye(4), rtol=1e-8)


def test_barycenter_satisfies_its_fixed_point_and_beats_its_neighbours():
  parts, weights = covariances(3, 3), [0.5, 0.3, 0.2]
  means = np.arange(9.0).reshape(3, 3)
  found = gaussians.gaussian_barycenter(means, parts, weights)
  np.testing.assert_allclose(found.mean, weights @ means)
  root = linalg.sqrtm(found.covariance)
  mixed = sum(
    w * linalg.sqrtm(root @ c @ root)
    for w, c in zip(weights, parts, strict=True)
  )
  np.testing.assert_allclose(mixed.real, found.covariance, rtol=1e-6)

  def value(c):
    return sum(
      w * gaussians.bures_squared(c, p)
      for w, p in zip(weights, parts, strict=True)
    )

  best = value(found.covariance)
  for step in covariances(5, 3, seed=1):
    assert value(found.covariance + 0.05 * step) > best


@pytest.mark.parametrize('dimension', [1, 2, 7, 500])
def test_mean_norm_is_that_of_the_chi_law(dimension):
  expected = stats.chi(dimension).mean()
  assert gaussians.mean_norm(dimension) == pytest.approx(expected, rel=1e-9)


def test_scalings_on_the_line_agree_with_the_line():
  for s1, s2 in ((1.0, 2.0), (3.0, 0.0), (2.0, 2.0)):
    assert gaussians.isotropic_w1(s1, s2, 1) == pytest.approx(
      gaussians.line_w1(0.0, s1, 0.0, s2)
    )


@pytest.mark.parametrize('m,s,n,t', [(0, 1, 2, 1), (0, 1, -1, 3), (1, 0, 1, 2)])
def test_line_equals_the_integral_of_the_quantile_gap(m, s, n, t):
  value, _ = integrate.quad(
    lambda q: abs(m - n + (s - t) * stats.norm.ppf(q)), 0.0, 1.0, limit=200
  )
  assert gaussians.line_w1(m, s, n, t) == pytest.approx(value, rel=1e-4)


@given(st.integers(0, 10_000))
def test_bures_is_a_distance_that_scales_and_turns_along(seed):
  rng = np.random.default_rng(seed)
  d = int(rng.integers(1, 6))
  a, b, c = covariances(3, d, seed)
  root = lambda p, q: np.sqrt(gaussians.bures_squared(p, q))
  assert root(b, a) == pytest.approx(root(a, b), rel=1e-8, abs=1e-7)
  assert root(a, c) <= root(a, b) + root(b, c) + 1e-7
  assert root(4.0 * a, 4.0 * b) == pytest.approx(2.0 * root(a, b), rel=1e-7)
  turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
  turned = root(turn @ a @ turn.T, turn @ b @ turn.T)
  assert turned == pytest.approx(root(a, b), rel=1e-7, abs=1e-7)


def test_bures_of_the_line_and_of_a_point_have_closed_forms():
  assert gaussians.bures_squared([[4.0]], [[25.0]]) == pytest.approx(9.0)
  (c,) = covariances(1, 4)
  none = np.zeros((4, 4))
  assert gaussians.bures_squared(none, c) == pytest.approx(np.trace(c))
  assert gaussians.bures_squared(none, none) == 0.0


@given(st.integers(0, 10_000))
def test_frechet_moves_and_scales_along(seed):
  rng = np.random.default_rng(seed)
  a, b = covariances(2, 3, seed)
  m, n, shift = rng.normal(size=(3, 3))
  value = gaussians.frechet_squared(m, a, n, b)
  assert value == pytest.approx(gaussians.frechet_squared(n, b, m, a), rel=1e-9)
  assert gaussians.frechet_squared(
    3 * m + shift, 9 * a, 3 * n + shift, 9 * b
  ) == pytest.approx(9 * value, rel=1e-9)


def test_frechet_bounds_the_squared_transport_of_clouds():
  # Equal for an affine image of a cloud under a positive matrix.
  x = np.random.default_rng(1).normal(size=(40, 2))
  stretch = np.array([[2.0, 0.5], [0.5, 1.0]])
  y = x @ stretch + np.array([[1.0, -2.0]])
  moments = [v for p in (x, y) for v in (p.mean(0), np.cov(p.T, bias=True))]
  value = gaussians.frechet_squared(*moments)
  assert value == pytest.approx(((x - y) ** 2).sum(1).mean(), rel=1e-9)


@pytest.mark.parametrize('dimension', [1, 2, 5])
def test_roots_equal_those_of_scipy_and_square_back(dimension):
  (c,) = covariances(1, dimension)
  root = gaussians.matrix_root(c)
  np.testing.assert_allclose(root, linalg.sqrtm(c).real, atol=1e-9)
  flat = np.diag(np.arange(float(dimension)))
  np.testing.assert_allclose(gaussians.matrix_root(flat) ** 2, flat, atol=1e-12)


def test_covariances_come_back_symmetric_in_float64():
  found = gaussians.covariance(np.float32([[2.0, 1.0], [1.0, 2.0]]), 'c')
  assert found.dtype == np.float64
  nearly = gaussians.covariance([[2.0, 1.0 + 1e-8], [1.0, 2.0]], 'c')
  np.testing.assert_array_equal(nearly, nearly.T)


@given(st.integers(0, 10_000))
def test_barycenter_turns_scales_and_moves_along(seed):
  rng = np.random.default_rng(seed)
  parts, means = covariances(3, 2, seed), rng.normal(size=(3, 2))
  weights = rng.dirichlet(np.ones(3))
  found = gaussians.gaussian_barycenter(means, parts, weights)
  turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
  shift = rng.normal(size=(1, 2))
  moved = gaussians.gaussian_barycenter(
    3 * means @ turn + shift, [9 * turn.T @ c @ turn for c in parts], weights
  )
  np.testing.assert_allclose(moved.mean, 3 * found.mean @ turn + shift[0])
  np.testing.assert_allclose(
    moved.covariance, 9 * turn.T @ found.covariance @ turn, rtol=1e-6, atol=1e-8
  )
  order = [2, 0, 1]
  other = gaussians.gaussian_barycenter(
    means[order], parts[order], weights[order]
  )
  np.testing.assert_allclose(other.covariance, found.covariance, rtol=1e-9)


def test_barycenter_of_one_or_of_twins_is_itself_and_zero_weights_drop_out():
  one, other = covariances(2, 3)
  means = np.arange(6.0).reshape(2, 3)
  for found in (
    gaussians.gaussian_barycenter(means[:1], [one]),
    gaussians.gaussian_barycenter(means[[0, 0]], [one, one], [0.3, 0.7]),
    gaussians.gaussian_barycenter(means, [one, other], [1.0, 0.0]),
  ):
    np.testing.assert_allclose(found.mean, means[0])
    np.testing.assert_allclose(found.covariance, one, rtol=1e-8)


def test_barycenter_on_the_line_has_the_mean_deviation():
  found = gaussians.gaussian_barycenter(
    [[0.0], [8.0]], [[[1.0]], [[25.0]]], [0.75, 0.25]
  )
  assert found.mean[0] == 2.0
  assert found.covariance[0, 0] == pytest.approx(4.0)


def test_scalings_of_a_cloud_are_matched_along_their_rays():
  # |x| is an optimal potential, so the mean move is W1 of the clouds as well.
  z = np.random.default_rng(2).normal(size=(400, 3))
  norms = np.linalg.norm(z, axis=1)
  value = exact.w1(0.5 * z, 2.0 * z)
  assert value == pytest.approx(1.5 * norms.mean(), rel=1e-9)
  error = 1.5 * norms.std() / np.sqrt(len(z))
  assert abs(gaussians.isotropic_w1(0.5, 2.0, 3) - value) < 4.0 * error


@given(st.integers(0, 10_000))
def test_closed_forms_are_distances_that_scale_and_move_along(seed):
  rng = np.random.default_rng(seed)
  (m, n, o), (s, t, u) = rng.normal(size=3), rng.uniform(0.0, 3.0, 3)
  line = gaussians.line_w1
  value = line(m, s, n, t)
  assert line(n, t, m, s) == pytest.approx(value)
  assert line(m, s, o, u) <= value + line(n, t, o, u) + 1e-12
  assert line(m, s, m, s) == 0.0
  assert line(3 * m + 1, 3 * s, 3 * n + 1, 3 * t) == pytest.approx(3 * value)
  ball = lambda p, q: gaussians.isotropic_w1(p, q, 7)
  assert ball(t, s) == ball(s, t) >= 0.0 == ball(s, s)
  assert ball(s, u) <= ball(s, t) + ball(t, u) + 1e-12
  assert ball(3 * s, 3 * t) == pytest.approx(3 * ball(s, t))


@pytest.mark.parametrize(
  'call,name',
  [
    (lambda: gaussians.bures_squared(np.eye(2), np.eye(3)), 'c2'),
    (
      lambda: gaussians.bures_squared([[1.0, 2.0], [0.0, 1.0]], np.eye(2)),
      'c1',
    ),
    (lambda: gaussians.bures_squared(-np.eye(2), np.eye(2)), 'c1'),
    (lambda: gaussians.bures_squared(np.ones((2, 3)), np.eye(2)), 'c1'),
    (
      lambda: gaussians.frechet_squared(
        [0.0], np.eye(1), [0.0, 1.0], np.eye(2)
      ),
      'm2',
    ),
    (
      lambda: gaussians.gaussian_barycenter(np.zeros((2, 2)), [np.eye(2)]),
      'covariances',
    ),
    (lambda: gaussians.bures_squared(np.eye(2), np.eye(2) * np.nan), 'c2'),
    (lambda: gaussians.bures_squared([[1.0], [1.0, 2.0]], np.eye(2)), 'c1'),
    (
      lambda: gaussians.frechet_squared(
        [0.0, 0.0], np.eye(3), [0.0, 0.0], np.eye(3)
      ),
      'c1: shape',
    ),
    (lambda: gaussians.frechet_squared([0.0], 1.0, [0.0], np.eye(1)), 'c1'),
    (
      lambda: gaussians.frechet_squared([0.0], np.eye(1), [0.0], np.eye(2)),
      'c2',
    ),
    (
      lambda: gaussians.frechet_squared([0.0], np.eye(1), [np.inf], np.eye(1)),
      'm2',
    ),
    (lambda: gaussians.gaussian_barycenter(np.zeros((2, 2)), []), 'covar'),
    (
      lambda: gaussians.gaussian_barycenter(
        np.zeros((2, 2)), [np.eye(2), np.eye(3)]
      ),
      r'covariances\[1\]: shape',
    ),
    (
      lambda: gaussians.gaussian_barycenter(
        np.zeros((2, 1)), [[[1.0]], [[np.nan]]]
      ),
      r'covariances\[1\]',
    ),
    (
      lambda: gaussians.gaussian_barycenter([[np.nan]], [[[1.0]]]),
      'means',
    ),
    (
      lambda: gaussians.gaussian_barycenter(
        np.zeros((2, 1)), [[[1.0]], [[2.0]]], [1.5, -0.5]
      ),
      'weights',
    ),
    (lambda: gaussians.isotropic_w1(1.0, np.inf, 2), 's2'),
    (lambda: gaussians.isotropic_w1(1.0, 2.0, 0), 'dimension'),
    (lambda: gaussians.line_w1(0.0, -1.0, 0.0, 1.0), 's1'),
    (lambda: gaussians.mean_norm(float('nan')), 'dimension'),
    (lambda: gaussians.isotropic_w1(-1.0, 1.0, 2), 's1'),
    (lambda: gaussians.line_w1(0.0, 1.0, np.nan, 1.0), 'm2'),
    (
      lambda: gaussians.bures_squared(np.diag([1.0, -1e-5]), np.eye(2)),
      'c1: has a negative eigenvalue',
    ),
    (lambda: gaussians.mean_norm(0), 'dimension'),
  ],
)
def test_bad_arguments_are_named(call, name):
  with pytest.raises(ValueError, match=f'^{name}'):
    call()


def test_no_convergence_is_an_error():
  with pytest.raises(RuntimeError, match='not converged in 1 '):
    gaussians.gaussian_barycenter(
      np.zeros((2, 2)), covariances(2, 2), iterations=1
    )


def test_rounding_below_zero_and_zero_itself_are_covariances():
  for c in (np.zeros((2, 2)), np.diag([1.0, -1e-7]), np.full((2, 2), 3.0)):
    np.testing.assert_array_equal(gaussians.covariance(c, 'c'), c)


def test_barycenters_that_rounding_would_flatten_are_refused():
  flat, full = np.diag([1e16, 1.0, 1e-16]), np.diag([1.0, 2.0, 3.0])
  means = np.zeros((2, 3))
  for pair, weights in (([flat, 4 * flat], None), ([flat, full], [1.0, 0.0])):
    with pytest.raises(ValueError, match='full rank'):
      gaussians.gaussian_barycenter(means, pair, weights)
  found = gaussians.gaussian_barycenter(means, [full, 4 * full], [0.5, 0.5])
  np.testing.assert_allclose(found.covariance, 2.25 * full, rtol=1e-9)
