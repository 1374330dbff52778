"""Products whose bits do not depend on the order of sums."""

import math

import numpy as np

from coalesce_jax.ops import exact

RNG = np.random.default_rng(0)


def test_a_product_is_exact_and_does_not_depend_on_the_order_of_sums():
  n = 301
  scales = 10.0 ** RNG.uniform(-6, 6, (2, 7, 1))
  a = (scales[0] * RNG.normal(size=(7, n))).astype(np.float32)
  b = (scales[1, :5] * RNG.normal(size=(5, n))).astype(np.float32).T
  a[0], a[1, 1:] = 0.0, 0.0
  found = exact.product(a, b)
  for _ in range(3):
    order = RNG.permutation(n)
    again = exact.product(a[:, order], b[order])
    np.testing.assert_array_equal(found, again)
  for i in range(7):
    for j in range(5):
      terms = a[i].astype(np.float64) * b[:, j].astype(np.float64)
      largest = np.abs(a[i]).max() * float(np.abs(b[:, j]).max())
      np.testing.assert_allclose(
        found[i, j], math.fsum(terms), rtol=6e-8, atol=largest * n * 2.0**-35
      )
