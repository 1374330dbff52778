"""Exact W1 between clouds."""

import numpy as np
import pytest
from scipy import stats

from coalesce_jax.metrics import wasserstein


def test_equals_the_distance_of_sorted_samples_on_the_line():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(200, 1)), rng.gumbel(size=(200, 1))
  expected = stats.wasserstein_distance(a[:, 0], b[:, 0])
  assert wasserstein.w1_exact(a, b) == pytest.approx(expected)


def test_a_translated_cloud_is_at_the_length_of_the_shift():
  a = np.random.default_rng(0).normal(size=(100, 6))
  shift = np.array([3.0, 4.0, 0, 0, 0, 0])
  assert wasserstein.w1_exact(a, (a + shift)[::-1]) == pytest.approx(5.0)


def test_clouds_of_different_sizes_are_refused():
  with pytest.raises(ValueError, match='differ in size'):
    wasserstein.w1_exact(np.zeros((3, 2)), np.zeros((4, 2)))
