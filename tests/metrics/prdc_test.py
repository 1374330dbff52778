"""Precision, recall, density, coverage against a plain implementation."""

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


def test_too_few_samples_are_refused():
  with pytest.raises(ValueError, match='k = 5'):
    prdc.prdc(np.zeros((5, 2)), np.zeros((9, 2)))
