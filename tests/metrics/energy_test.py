"""The energy distance against double sums, and its invariances."""

import jax
import numpy as np
import pytest
from scipy.spatial import distance

from coalesce_jax.metrics import energy

RNG = np.random.default_rng(0)
A, B = (
  RNG.normal(size=(7, 3)).astype(np.float32),
  RNG.normal(size=(5, 3)).astype(np.float32) + 0.5,
)
ENERGY = jax.jit(lambda a, b: energy.energy_distance(a, b))


def test_three_points_on_the_line_are_done_by_hand():
  # Twice the mean of |0 - 1| and |0 - 3|, less |1 - 3|.
  found = ENERGY(np.zeros((1, 1), 'f4'), np.array([[1.0], [3.0]], 'f4'))
  assert float(found) == pytest.approx(2.0 * 2.0 - 2.0, abs=1e-6)


def test_equals_the_double_sums():
  expected = 2.0 * distance.cdist(A, B).mean() - distance.pdist(B).mean()
  assert float(ENERGY(A, B)) == pytest.approx(expected, rel=1e-5)


def test_images_are_their_values():
  images = (x.reshape(-1, 3, 1, 1) for x in (A, B))
  assert float(ENERGY(*images)) == pytest.approx(float(ENERGY(A, B)))


def test_moves_scales_and_turns_along_in_any_order():
  turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
  value = float(ENERGY(A, B))
  for a, b, factor in (
    (A + 2.0, B + 2.0, 1.0),
    (3.0 * A, 3.0 * B, 3.0),
    (A @ turn, B @ turn, 1.0),
    (A[::-1], B[::-1], 1.0),
  ):
    assert float(ENERGY(a, b)) == pytest.approx(factor * value, rel=1e-4)


def test_is_least_for_samples_of_the_same_distribution():
  a = RNG.normal(size=(300, 2)).astype(np.float32)
  b = RNG.normal(size=(300, 2)).astype(np.float32)
  same = float(ENERGY(a, b))
  for other in (b + 1.0, 0.5 * b, 2.0 * b, 0.0 * b):
    assert float(ENERGY(a, other)) > same + 0.1


def test_members_of_an_ensemble_are_measured_as_each_alone():
  b = np.stack([B, 2.0 * B])
  together = jax.jit(jax.vmap(energy.energy_distance, (None, 0)))(A, b)
  for value, one in zip(together, b, strict=True):
    assert float(value) == pytest.approx(float(ENERGY(A, one)), rel=1e-5)
