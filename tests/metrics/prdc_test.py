"""Precision, recall, density, coverage against a plain implementation."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial import distance

from coalesce_jax.metrics import prdc


def plain(real, fake, k):
  rr, ff = distance.cdist(real, real), distance.cdist(fake, fake)
  rf = distance.cdist(real, fake)
  real_radius, fake_radius = np.sort(rr)[:, k], np.sort(ff)[:, k]
  inside = rf < real_radius[:, None]
  return {
    'precision': inside.any(0).mean(),
    'recall': (rf < fake_radius[None]).any(1).mean(),
    'density': inside.sum(0).mean() / k,
    'coverage': inside.any(1).mean(),
  }


@pytest.mark.parametrize('k', [1, 5])
def test_equals_a_plain_implementation(k):
  rng = np.random.default_rng(0)
  real, fake = rng.normal(size=(90, 4)), 0.8 * rng.normal(size=(70, 4)) + 0.3
  found, expected = prdc.prdc(real, fake, k), plain(real, fake, k)
  for name in expected:
    assert found[name] == pytest.approx(expected[name], abs=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch):
  rng = np.random.default_rng(0)
  real, fake = rng.normal(size=(50, 3)), rng.normal(size=(40, 3))
  whole = prdc.prdc(real, fake, 3)
  monkeypatch.setattr(prdc, '_BLOCK', 7)
  assert prdc.prdc(real, fake, 3) == whole


def test_far_away_fakes_score_nothing():
  rng = np.random.default_rng(0)
  real = rng.normal(size=(50, 3))
  assert set(prdc.prdc(real, real + 100.0).values()) == {0.0}


def test_a_collapsed_generator_has_precision_without_coverage():
  rng = np.random.default_rng(0)
  real = rng.normal(size=(500, 2))
  fake = real[:1] + 1e-3 * rng.normal(size=(500, 2))
  found = prdc.prdc(real, fake)
  assert found['precision'] == 1.0 and found['coverage'] < 0.1


def test_nearest_distances_are_exact():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
  np.testing.assert_allclose(
    prdc.nearest(a, b), distance.cdist(a, b).min(1), rtol=1e-4
  )


def hard(name):
  """Real and generated samples whose comparisons rounding could decide."""
  rng = np.random.default_rng(1)
  real, fake = rng.normal(size=(2, 400, 16))
  far = np.where(np.arange(400) < 200, 1e4, 0.0)[:, None]
  binary = rng.integers(0, 2, (2, 400, 16)).astype(float)
  both = np.stack([real, fake])
  return {
    'an outlier': (real, np.concatenate([np.full((1, 16), 1e6), fake[1:]])),
    'clusters': (real + far, fake + far),
    'binary': tuple(binary),
    'scaled binary': tuple(0.1 * binary),
    'moved binary': tuple(binary + 1e7),
    'copies': (real, real[rng.integers(0, 400, 400)]),
    'one point': (real, np.repeat(real[:1], 400, 0)),
    'offset': tuple(both + 1e8),
    'float32': (real.astype(np.float32), fake.astype(np.float32)),
  }[name]


@pytest.mark.parametrize(
  'name',
  [
    'an outlier', 'clusters', 'binary', 'scaled binary', 'moved binary',
    'copies', 'one point', 'offset', 'float32',
  ],
)  # fmt: skip
def test_scores_are_those_of_exact_distances(name):
  real, fake = hard(name)
  expected = plain(real, fake, 5)
  assert prdc.prdc(real, fake) == pytest.approx(expected, rel=1e-12, abs=0)
  np.testing.assert_array_equal(
    prdc.nearest(fake, real), distance.cdist(fake, real).min(1)
  )


def test_squares_do_not_overflow_or_vanish():
  real, fake = hard('an outlier')
  far, farther = fake.copy(), fake.copy()
  far[0], farther[0] = 1e100, 1e200
  assert prdc.prdc(real, far) == pytest.approx(plain(real, far, 5))
  assert prdc.prdc(real, farther) == prdc.prdc(real, far)
  scaled = 1e-200 * real, 1e-200 * real[:7] + 1e-199
  np.testing.assert_allclose(
    prdc.nearest(*scaled), 1e-200 * prdc.nearest(real, real[:7] + 10.0)
  )


@given(st.integers(0, 10_000))
def test_grids_of_equal_distances_tie_wherever_they_lie(seed):
  rng = np.random.default_rng(seed)
  real, fake = (rng.integers(0, 3, (n, 3)).astype(float) for n in (30, 25))
  exact = prdc.prdc(real, fake, 2)
  assert exact == pytest.approx(plain(real, fake, 2), rel=1e-12)
  shift = rng.integers(-(10**6), 10**6, (1, 3))
  assert prdc.prdc(4.0 * real + shift, 4.0 * fake + shift, 2) == exact


@pytest.mark.parametrize(
  'real,fake,k,message',
  [
    (np.zeros((5, 2)), np.zeros((9, 2)), 5, 'k = 5'),
    (np.zeros((9, 2)), np.zeros((9, 2)), 0, 'k = 0'),
    (np.zeros((9, 2)), np.zeros((9, 2)), 2.5, 'k = 2.5'),
    (np.zeros((9, 2)), np.zeros((9, 2)), True, 'k = True'),
    (np.zeros((9, 0)), np.zeros((9, 0)), 5, 'F >= 1'),
    (np.zeros((9, 2)), np.zeros((9, 2)) + 1j, 5, 'complex'),
    (np.zeros((9, 2)), np.zeros((9, 3)), 5, r'\(9, 2\) against \(9, 3\)'),
    (np.zeros((9, 2)), np.full((9, 2), np.nan), 5, 'finite'),
  ],
)
def test_invalid_arguments_are_refused(real, fake, k, message):
  with pytest.raises(ValueError, match=message):
    prdc.prdc(real, fake, k)


def test_nearest_refuses_what_has_no_distance():
  with pytest.raises(ValueError, match='against'):
    prdc.nearest(np.zeros((3, 2)), np.zeros((3, 1)))
  with pytest.raises(ValueError, match='finite'):
    prdc.nearest(np.zeros((3, 2)), np.full((3, 2), np.inf))


@pytest.mark.parametrize(
  'bad', [np.zeros((0, 2)), np.zeros(2), np.zeros((3, 0))]
)
def test_nearest_refuses_what_is_no_set_of_features(bad):
  with pytest.raises(ValueError, match='^features .* are not'):
    prdc.nearest(bad, bad)


def test_nearest_sees_a_nan_among_either_features():
  one, nan = np.zeros((3, 2)), np.array([[0.0, 1.0], [np.nan, 0.0]])
  for pair in ((one, nan), (nan, one)):
    with pytest.raises(ValueError, match='^features are not all finite'):
      prdc.nearest(*pair)


def test_scores_of_ties_are_those_of_the_plain_definition():
  # Integer points: every distance is the root of a whole number.
  for seed in range(10):
    rng = np.random.default_rng(seed)
    real, fake = rng.integers(0, 4, (30, 2)), rng.integers(0, 5, (20, 2))

    def squares(x, y):
      return ((x[:, None] - y[None]) ** 2).sum(-1)

    k = seed % 3 + 1
    ball = np.sort(squares(real, real), 1)[:, [k]]
    own = np.sort(squares(fake, fake), 1)[:, k][None]
    gap = squares(real, fake)
    assert prdc.prdc(real, fake, k) == pytest.approx({
      'precision': (gap < ball).any(0).mean(),
      'recall': (gap < own).any(1).mean(),
      'density': (gap < ball).sum(0).mean() / k,
      'coverage': (gap < ball).any(1).mean(),
    })  # fmt: skip
