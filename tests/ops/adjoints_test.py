"""Pairs of adjoint maps against the matrices that they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import adjoints

RNG = np.random.default_rng(0)
# What is static need not be a number.
SETTING = ('scale', 2.0)
# Two arrays in, three and two values; two arrays out, four values and two.
A, B, C = (
  RNG.normal(size=shape).astype(np.float32)
  for shape in ((4, 3), (4, 2), (2, 3))
)


def plain(arrays, setting):
  (x, y), (_, scale) = arrays, setting
  return [scale * (x @ A.T) + y @ B.T, x @ C.T]


def plain_adjoint(arrays, setting):
  (u, v), (_, scale) = arrays, setting
  return [scale * (u @ A) + v @ C, u @ B]


FORWARD, BACKWARD = adjoints.adjoint_pair('pair', plain, plain_adjoint)
MAPS = [(FORWARD, plain, (3, 2)), (BACKWARD, plain_adjoint, (4, 2))]
NAMES = ['forward', 'backward']
# A tenfold adjoint shows which of two ways a derivative went.
TENFOLD, _ = adjoints.adjoint_pair(
  'tenfold',
  lambda arrays, scale: [scale * arrays[0]],
  lambda arrays, scale: [10 * scale * arrays[0]],
)


def arrays(sizes, *lead):
  return [RNG.normal(size=(*lead, n)).astype(np.float32) for n in sizes]


def check(found, expected):
  assert len(found) == len(expected)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('ours,theirs,sizes', MAPS, ids=NAMES)
def test_values_are_those_of_the_map(ours, theirs, sizes):
  given = arrays(sizes, 2)
  for scale in (1.0, -2.0):
    setting = ('scale', scale)
    check(ours(given, setting), theirs(given, setting))
  compiled = jax.jit(ours, static_argnums=1)
  check(compiled(given, SETTING), theirs(given, SETTING))
  shapes = jax.eval_shape(lambda *a: ours(a, SETTING), *given)
  assert [(a.shape, a.dtype) for a in shapes] == [
    (a.shape, a.dtype) for a in theirs(given, SETTING)
  ]


@pytest.mark.parametrize('ours,theirs,sizes', MAPS, ids=NAMES)
def test_derivatives_are_those_of_a_linear_map_and_its_adjoint(
  ours, theirs, sizes
):
  other = {plain: plain_adjoint, plain_adjoint: plain}[theirs]
  given, direction = arrays(sizes, 2), arrays(sizes, 2)
  fn = lambda *a: ours(a, SETTING)  # noqa: E731
  check(jax.jvp(fn, given, direction)[1], theirs(direction, SETTING))
  values, pull = jax.vjp(fn, *given)
  cotangents = [np.cos(v) for v in values]
  check(pull(cotangents), other(cotangents, SETTING))
  # No derivative of the second result: zeros in its place.
  first = jax.grad(lambda *a: jnp.vdot(fn(*a)[0], cotangents[0]), (0, 1))
  check(first(*given), other([cotangents[0], 0 * cotangents[1]], SETTING))


def test_second_derivatives_equal_those_of_matrices():
  x, y = arrays((3, 2))

  def penalty(run):
    def score(x, y):
      return sum(jnp.sum(jnp.tanh(v)) for v in run([x, y], SETTING))

    slope = jax.grad(score, (0, 1))
    return jax.grad(lambda *a: sum(jnp.sum(g**2) for g in slope(*a)), (0, 1))

  ours, theirs = jax.jit(
    lambda x, y: (penalty(FORWARD)(x, y), penalty(plain)(x, y))
  )(x, y)
  check(ours, theirs)


def test_the_handmade_adjoint_is_the_derivative():
  x = jnp.ones(2)
  slope = jax.grad(lambda x: TENFOLD([x], 3.0)[0].sum())(x)
  np.testing.assert_array_equal(slope, 30.0)
  # And the derivative of that is the map.
  back = jax.grad(
    lambda c: jax.vjp(lambda x: TENFOLD([x], 3.0), x)[1]([c])[0][0]
  )
  np.testing.assert_array_equal(back(x), [3.0, 0.0])


@pytest.mark.parametrize('axes', [(0, 0), (1, 0), (None, 0), (0, None)])
def test_vmap_equals_a_loop(axes):
  whole = arrays((3, 2), 4)
  given = [
    a[0] if axis is None else np.moveaxis(a, 0, axis)
    for a, axis in zip(whole, axes, strict=True)
  ]
  found = jax.vmap(lambda x, y: FORWARD([x, y], SETTING), axes)(*given)
  rows = [
    np.broadcast_to(a[0], a.shape) if axis is None else a
    for a, axis in zip(whole, axes, strict=True)
  ]
  check(found, plain(rows, SETTING))
