"""Four products against six, and transforms against their adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import winograd


def numbers(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize('count', [2, 3, 4, 5, 7, 8, 9])
def test_four_products_filter_two_taps(count):
  d, g = numbers(0, 5, count + 1), numbers(1, 2)
  u, filters = winograd.inputs(d, -1), winograd.filters(g, 0)
  products = [a * b for a, b in zip(u, filters, strict=True)]
  assert tuple(p.shape[-1] for p in products) == winograd.sizes(count)
  assert sum(winograd.sizes(count)) == 4 * (count // 3) + (0, 2, 3)[count % 3]
  found = winograd.results(products, -1)
  np.testing.assert_allclose(
    found, d[:, :-1] * g[0] + d[:, 1:] * g[1], atol=1e-6
  )


@pytest.mark.parametrize('count', [2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize('axis', [-2, -3])
def test_adjoints(count, axis):
  def shaped(n):
    return (n, 3, 2) if axis == -3 else (3, n, 2)

  d, y = numbers(0, *shaped(count + 1)), numbers(1, *shaped(count))
  for run, adjoint, x in (
    (winograd.inputs, winograd.inputs_adjoint, d),
    (winograd.results_adjoint, winograd.results, y),
  ):
    parts = run(x, axis)
    others = [jnp.cos(3.0 * i + part) for i, part in enumerate(parts)]
    inner = sum(jnp.vdot(a, b) for a, b in zip(parts, others, strict=True))
    np.testing.assert_allclose(
      inner, jnp.vdot(x, adjoint(others, axis)), rtol=1e-4, atol=1e-4
    )
