"""Lowered convolutions against XLA's own."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import conv
from coalesce_jax.parallel import batch_shards

CASES = [
  # size, kernel, stride, padding, channels in, out
  (28, 4, 2, 1, 1, 8),
  (14, 4, 2, 1, 8, 6),
  (8, 3, 1, 1, 4, 5),
  (28, 5, 2, ((1, 2), (1, 2)), 2, 3),
  (7, 5, 2, 2, 3, 4),
  # By tiles: an odd, an even, and few results a direction.
  (14, 4, 2, 1, 32, 64),
  (8, 4, 2, 1, 32, 64),
  (6, 4, 2, 1, 32, 64),
]


def data(size, kernel, channels, features):
  keys = jax.random.split(jax.random.key(0), 2)
  x = jax.random.normal(keys[0], (channels, size, size, 3))
  scale = 1.0 / np.sqrt(kernel * kernel * channels)
  w = scale * jax.random.normal(keys[1], (kernel, kernel, channels, features))
  return x, w


def pairs(padding):
  return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def reference(x, w, stride, padding):
  return lax.conv_general_dilated(
    x, w, (stride, stride), pairs(padding),
    dimension_numbers=('CHWN', 'HWIO', 'CHWN'),
  )  # fmt: skip


@pytest.mark.parametrize('size,kernel,stride,padding,channels,features', CASES)
def test_conv_equals_lax(size, kernel, stride, padding, channels, features):
  x, w = data(size, kernel, channels, features)
  ours = conv.conv2d(x, w, stride=stride, padding=padding)
  theirs = reference(x, w, stride, padding)
  np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize('size,kernel,stride,padding,channels,features', CASES)
def test_gradients_equal_lax_to_second_order(
  size, kernel, stride, padding, channels, features
):
  x, w = data(size, kernel, channels, features)

  def penalty(fn):
    def score(x, w):
      return jnp.sum(jnp.tanh(fn(x, w)))

    def value(w):
      gradient = jax.grad(score)(x, w)
      return jnp.mean(gradient**2)

    return jax.grad(score, (0, 1))(x, w), jax.grad(value)(w)

  @jax.jit  # Step by step, every operation would be compiled alone.
  def compare():
    return (
      penalty(lambda x, w: conv.conv2d(x, w, stride=stride, padding=padding)),
      penalty(lambda x, w: reference(x, w, stride, padding)),
    )

  ours, theirs = compare()
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)


def transposed(x, w):
  return lax.conv_transpose(
    x, w.swapaxes(2, 3), (2, 2), 'SAME', transpose_kernel=True,
    dimension_numbers=('CHWN', 'HWIO', 'CHWN'),
  )  # fmt: skip


@pytest.mark.parametrize(
  'size,channels,features',
  [(7, 8, 4), (4, 3, 1), (7, 64, 32), (4, 64, 32), (2, 64, 32)],
)
def test_transpose_equals_lax(size, channels, features):
  x, w = data(size, 4, channels, features)
  ours = conv.conv2d_transpose(x, w)
  assert ours.shape == (features, 2 * size, 2 * size, 3)
  np.testing.assert_allclose(ours, transposed(x, w), atol=1e-5)


@pytest.mark.parametrize('channels,features', [(6, 3), (64, 32)])
def test_gradients_of_the_transpose_equal_lax_to_second_order(
  channels, features
):
  x, w = data(7, 4, channels, features)

  def both(fn):
    def score(x, w):
      return jnp.sum(jnp.tanh(fn(x, w)))

    first = jax.grad(score, (0, 1))
    second = jax.grad(lambda w: jnp.mean(jax.grad(score)(x, w) ** 2))
    return first(x, w), second(w)

  ours, theirs = jax.jit(
    lambda: (both(conv.conv2d_transpose), both(transposed))
  )()
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize('channels,features', [(3, 5), (32, 64)])
def test_transpose_is_the_adjoint(channels, features):
  x, w = data(14, 4, channels, features)
  y = jax.random.normal(jax.random.key(2), (features, 7, 7, 3))
  forward = jnp.vdot(conv.conv2d(x, w, stride=2, padding=1), y)
  backward = jnp.vdot(x, conv.conv2d_transpose(y, w.swapaxes(2, 3)))
  np.testing.assert_allclose(forward, backward, rtol=1e-4)


@pytest.mark.parametrize('channels,features', [(3, 5), (32, 64)])
def test_vmap_over_kernels_equals_a_loop(channels, features):
  x, w = data(8, 4, channels, features)
  ws = jnp.stack([w, 2.0 * w])
  together = jax.vmap(lambda w: conv.conv2d(x, w, stride=2, padding=1))(ws)
  for got, one in zip(together, ws, strict=True):
    np.testing.assert_allclose(
      got, conv.conv2d(x, one, stride=2, padding=1), atol=1e-5
    )


def test_a_kernel_of_other_channels_is_refused():
  x, w = data(8, 4, 3, 5)
  with pytest.raises(ValueError, match='does not fit'):
    conv.conv2d(x[:2], w, stride=2, padding=1)
  with pytest.raises(ValueError, match='exceeds'):
    conv.conv2d(x[:, :2, :2], w)


def test_forward_derivatives_equal_lax():
  x, w = data(14, 4, 3, 5)
  direction = jnp.roll(x, 1, 1)
  _, ours = jax.jvp(
    lambda x: conv.conv2d(x, w, stride=2, padding=1), (x,), (direction,)
  )
  np.testing.assert_allclose(ours, reference(direction, w, 2, 1), atol=1e-5)


@pytest.mark.parametrize('channels,features', [(3, 5), (32, 64)])
def test_gradients_of_a_vmap_equal_a_loop(channels, features):
  x, w = data(8, 4, channels, features)
  ws = jnp.stack([w, 2.0 * w])

  def score(w, x):
    return jnp.sum(conv.conv2d(x, w, stride=2, padding=1) ** 2)

  together = jax.grad(lambda x: jax.vmap(score, (0, None))(ws, x).sum())(x)
  alone = sum(jax.grad(score, 1)(w, x) for w in ws)
  np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_a_size_with_another_number_of_patches_is_refused():
  x, w = data(7, 4, 6, 3)
  with pytest.raises(ValueError, match='patches'):
    conv.conv2d_transpose(x, w, size=(17, 17))


@pytest.mark.parametrize('size,factor', [(16, 121 / 256), (14, 100 / 196)])
def test_wide_convolutions_take_fewer_multiplications(size, factor):
  x, w = data(size, 4, 32, 64)
  traced = jax.make_jaxpr(lambda x, w: conv.conv2d(x, w, stride=2, padding=1))(
    x, w
  )
  products = [
    e for e in traced.jaxpr.eqns if e.primitive.name == 'precision_dot'
  ]
  done = sum(
    e.invars[0].aval.shape[-2] * e.outvars[0].aval.size for e in products
  )
  assert done == factor * 16 * 32 * 64 * (size // 2) ** 2 * 3


@pytest.mark.parametrize(
  'size,count', [pytest.param(14, 4, marks=pytest.mark.slow), (4, 1)]
)
def test_on_one_core_products_of_one_size_are_one(size, count):
  x, w = data(size, 4, 32, 64)
  ws = jnp.stack([w, 2.0 * w])

  def penalty(x, w):
    y = conv.conv2d(x, w, stride=2, padding=1)
    return jnp.sum(
      jnp.tanh(conv.conv2d_transpose(jnp.tanh(y), w.swapaxes(2, 3)))
    )

  def gradients(x, ws):
    gradient = jax.grad(penalty)
    return jax.vmap(
      jax.grad(lambda w: jnp.sum(gradient(x, w) ** 2)),
    )(ws)

  alone = jax.jit(gradients)(x, ws)
  with batch_shards.split(2):
    together = jax.jit(lambda x, ws: gradients(x, ws))(x, ws)
    traced = jax.make_jaxpr(
      lambda x, w: conv.conv2d(x, w, stride=2, padding=1)
    )(x, w)
  np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)
  names = [e.primitive.name for e in traced.jaxpr.eqns]
  assert names.count('precision_dot') == count
