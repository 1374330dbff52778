"""Filters by few products against sums, and transforms against adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import toom_cook

# Outputs of a tile, taps.
ALGORITHMS = [(2, 3), (4, 3), (3, 4)]


def numbers(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('outputs,taps', ALGORITHMS)
@pytest.mark.parametrize('tiles', [1, 3])
def test_products_filter(outputs, taps, tiles):
  algorithm, count = toom_cook.Algorithm(outputs, taps), tiles * outputs
  d, g = numbers(0, 2, count + taps - 1, 3), numbers(1, taps)

  def run(d, g):
    u, filters = algorithm.inputs(d, -2), algorithm.filters(g, 0)
    products = [a * b for a, b in zip(u, filters, strict=True)]
    return products, algorithm.results(products, -2)

  products, found = jax.jit(run)(d, g)
  assert tuple(p.shape[-2] for p in products) == algorithm.sizes(count)
  assert algorithm.sizes(count) == (tiles,) * (outputs + taps - 1)
  expected = [
    [np.correlate(d[i, :, j], g, 'valid') for j in range(3)] for i in range(2)
  ]
  np.testing.assert_allclose(found, np.swapaxes(expected, 1, 2), atol=5e-5)


@pytest.mark.parametrize('outputs,taps', ALGORITHMS)
def test_adjoints(outputs, taps):
  algorithm = toom_cook.Algorithm(outputs, taps)
  d, y = numbers(0, 3 * outputs + taps - 1, 2), numbers(1, 3 * outputs, 2)
  g = numbers(2, taps, 2)

  def sides(run, adjoint, x, axis):
    parts = run(x, axis)
    others = [jnp.cos(3.0 * i + part) for i, part in enumerate(parts)]
    inner = sum(jnp.vdot(a, b) for a, b in zip(parts, others, strict=True))
    return inner, jnp.vdot(x, adjoint(others, axis))

  @jax.jit
  def all_of(d, y, g):
    return (
      sides(algorithm.inputs, algorithm.inputs_adjoint, d, -2),
      sides(algorithm.results_adjoint, algorithm.results, y, -2),
      sides(algorithm.filters, algorithm.filters_adjoint, g, 0),
    )

  for one, other in all_of(d, y, g):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
