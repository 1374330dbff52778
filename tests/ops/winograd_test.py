"""Four products against six, and transforms against their adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import winograd

# Results: two; one tile of three; two tiles and one; three tiles and two.
COUNTS = [2, 3, 7, 11]


def numbers(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('count', COUNTS)
def test_four_products_filter_two_taps(count):
  d, g = numbers(0, 2, count + 1, 3), numbers(1, 2)

  def run(d, g):
    u, filters = winograd.inputs(d, -2), winograd.filters(g, 0)
    products = [a * b for a, b in zip(u, filters, strict=True)]
    return products, winograd.results(products, -2)

  products, found = jax.jit(run)(d, g)
  assert tuple(p.shape[-2] for p in products) == winograd.sizes(count)
  assert sum(winograd.sizes(count)) == 4 * (count // 3) + (0, 2, 3)[count % 3]
  np.testing.assert_allclose(
    found, d[:, :-1] * g[0] + d[:, 1:] * g[1], atol=1e-5
  )


@pytest.mark.parametrize('count', COUNTS)
def test_adjoints(count):
  d, y = numbers(0, count + 1, 2), numbers(1, count, 2)

  def sides(run, adjoint, x, axis):
    parts = run(x, axis)
    others = [jnp.cos(3.0 * i + part) for i, part in enumerate(parts)]
    inner = sum(jnp.vdot(a, b) for a, b in zip(parts, others, strict=True))
    return inner, jnp.vdot(x, adjoint(others, axis))

  @jax.jit
  def both(d, y):
    return (
      sides(winograd.inputs, winograd.inputs_adjoint, d, -2),
      sides(winograd.results_adjoint, winograd.results, y[..., None], -3),
    )

  for one, other in both(d, y):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
