"""Products of chosen precision against plain ones."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import precision

AXES = list(itertools.product((0, 1), (0, 1)))


def factors(axis_a, axis_b, lead_a=(), lead_b=()):
  rng = np.random.default_rng(3)
  shape_a = (5, 3) if axis_a == 0 else (3, 5)
  shape_b = (5, 4) if axis_b == 0 else (4, 5)
  return (
    jnp.float32(rng.normal(size=(*lead_a, *shape_a))),
    jnp.float32(rng.normal(size=(*lead_b, *shape_b))),
  )


def plain(a, b, axis_a, axis_b):
  a = a if axis_a == 1 else a.T
  b = b if axis_b == 0 else b.T
  return a @ b


@pytest.mark.parametrize('axis_a,axis_b', AXES)
def test_values_and_derivatives_are_those_of_a_product(axis_a, axis_b):
  a, b = factors(axis_a, axis_b)

  def both(dot):
    def score(a, b):
      return jnp.sum(jnp.tanh(dot(a, b, axis_a, axis_b)))

    first = jax.grad(score, (0, 1))
    second = jax.grad(
      lambda a, b: sum(jnp.sum(g**2) for g in first(a, b)), (0, 1)
    )
    forward = jax.jvp(score, (a, b), (b.sum() * a, a.sum() * b))
    return dot(a, b, axis_a, axis_b), first(a, b), second(a, b), forward

  ours, theirs = jax.jit(lambda: (both(precision.dot), both(plain)))()
  for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('axis_a,axis_b', AXES)
@pytest.mark.parametrize('of_a,of_b', [(0, 0), (0, None), (None, 0), (1, 2)])
def test_batches_equal_a_loop(axis_a, axis_b, of_a, of_b):
  a, b = factors(axis_a, axis_b, (2,), (2,))
  args = [
    x[0] if at is None else jnp.moveaxis(x, 0, at)
    for x, at in ((a, of_a), (b, of_b))
  ]
  together = jax.vmap(
    lambda a, b: precision.dot(a, b, axis_a, axis_b), (of_a, of_b)
  )(*args)
  for i, got in enumerate(together):
    one = plain(
      a[0 if of_a is None else i], b[0 if of_b is None else i], axis_a, axis_b
    )
    np.testing.assert_allclose(got, one, rtol=1e-5, atol=1e-6)


def test_batches_of_batches_equal_a_loop():
  a, b = factors(0, 0, (2, 3), (2,))
  dot = lambda a, b: precision.dot(a, b, 0, 0)  # noqa: E731
  together = jax.vmap(jax.vmap(dot, (0, None)))(a, b)
  assert together.shape == (2, 3, 3, 4)
  for i, j in itertools.product(range(2), range(3)):
    np.testing.assert_allclose(
      together[i, j], plain(a[i, j], b[i], 0, 0), rtol=1e-5, atol=1e-6
    )


def test_bfloat16_rounds_the_factors_and_sums_in_float32():
  a, b = factors(1, 0)
  with precision.use('bfloat16'):
    got = precision.dot(a, b, 1, 0)
    gradient = jax.grad(lambda a: precision.dot(a, b, 1, 0).sum())
  rounded = [x.astype(jnp.bfloat16).astype(jnp.float32) for x in (a, b)]
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, rounded[0] @ rounded[1], rtol=1e-6, atol=1e-6)
  assert not np.allclose(got, a @ b, rtol=1e-6, atol=1e-6)
  # Where a function is traced decides, also for what is derived from it.
  np.testing.assert_allclose(
    gradient(a), jnp.broadcast_to(b.sum(1), a.shape), rtol=1e-6
  )
  with precision.use('bfloat16'):
    low = gradient(a)
  assert not np.allclose(low, gradient(a), rtol=1e-4)


@pytest.mark.parametrize(
  'name,wanted',
  [('float32', 'HIGHEST'), ('tensorfloat32', 'DEFAULT')],
)
def test_float32_asks_for_factors_that_are_not_rounded(name, wanted):
  a, b = factors(1, 0)

  def both(a, b):
    def dot(a, b):
      return precision.dot(a, b, 1, 0)

    return dot(a, b), jax.grad(lambda a: dot(a, b).sum())(a)

  with precision.use(name):
    text = jax.jit(both).lower(a, b).as_text()
  products = [line for line in text.splitlines() if 'dot_general' in line]
  assert len(products) == 2
  for line in products:
    # Without any, a product has the default.
    assert f'precision = [{wanted}, {wanted}]' in line or (
      wanted == 'DEFAULT' and 'precision' not in line
    )


def test_unknown_precision_is_refused():
  with pytest.raises(ValueError, match='float8'), precision.use('float8'):
    pass
