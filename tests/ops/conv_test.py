"""Lowered convolutions against XLA's own."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import conv
from coalesce_jax.parallel import batch_shards

# Size, kernel, stride, padding, channels in, out, batch.
CASES = [
  (10, 4, 2, 1, 1, 3, 3),
  (9, 5, 2, ((1, 2), (2, 1)), 2, 3, 3),
  (5, 3, 1, 1, 2, 3, 3),
  # Wide: by tiles.
  (6, 4, 2, 1, 32, 64, 57),
  # The kernels of translation networks.
  (7, 3, 2, 1, 2, 3, 2),
  (6, 4, 1, 1, 2, 2, 2),
  (8, 7, 1, 0, 2, 3, 2),
  # Fewer channels out than in.
  (8, 7, 1, ((0, 6), (1, 2)), 3, 1, 2),
  (5, 3, 1, 1, 3, 2, 2),
  # Patches of padding alone.
  (5, 3, 1, ((3, 0), (0, 4)), 3, 2, 2),
]
# Wide, of three and four taps: tiles of two outputs on one axis and on both, of
# four outputs, and of three, of which the last is not full.
TILED = [
  (10, 3, 1, 1, 128, 128, 3),
  (8, 3, 1, ((0, 2), (1, 1)), 128, 128, 8),
  pytest.param(8, 3, 1, 1, 256, 256, 32, marks=pytest.mark.slow),
  (9, 4, 1, 1, 64, 64, 16),
]
# Channels in and out, of which the latter are wide.
WIDTHS = [(2, 3), (32, 64)]


def data(size, kernel, channels, features, batch=3):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(channels, size, size, batch))
  w = rng.normal(size=(kernel, kernel, channels, features))
  w /= np.sqrt(kernel * kernel * channels)
  return jnp.float32(x), jnp.float32(w)


def pairs(padding):
  return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def reference(x, w, stride, padding):
  return lax.conv_general_dilated(
    x, w, (stride, stride), pairs(padding),
    dimension_numbers=('CHWN', 'HWIO', 'CHWN'),
  )  # fmt: skip


def orders(fn, second):
  """Values, gradients, and the gradient of the gradient's norm if asked."""

  def score(x, w):
    return jnp.sum(jnp.tanh(fn(x, w)))

  def norm(w, x):
    return jnp.mean(jax.grad(score)(x, w) ** 2)

  def all_of(x, w):
    found = fn(x, w), jax.grad(score, (0, 1))(x, w)
    return (*found, jax.grad(norm)(w, x)) if second else found

  return all_of


def check_equal(ours, theirs, x, w, second=True, of_largest=0.0):
  # One program: step by step, every operation would be compiled alone.
  found, expected = jax.jit(
    lambda x, w: (orders(ours, second)(x, w), orders(theirs, second)(x, w))
  )(x, w)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    atol = max(2e-5, of_largest * float(jnp.max(jnp.abs(b))))
    np.testing.assert_allclose(a, b, atol=atol, rtol=1e-4)


@pytest.mark.parametrize(
  'size,kernel,stride,padding,channels,features,batch', CASES
)
def test_values_and_gradients_equal_lax(
  size, kernel, stride, padding, channels, features, batch
):
  x, w = data(size, kernel, channels, features, batch)
  check_equal(
    lambda x, w: conv.conv2d(x, w, stride=stride, padding=padding),
    lambda x, w: reference(x, w, stride, padding),
    x,
    w,
  )


@pytest.mark.parametrize(
  'size,kernel,stride,padding,channels,features,batch', TILED
)
@pytest.mark.parametrize(
  'second', [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_tiles_of_three_and_four_taps_equal_lax(
  size, kernel, stride, padding, channels, features, batch, second
):
  x, w = data(size, kernel, channels, features, batch)
  # Six points lose a digit.
  check_equal(
    lambda x, w: conv.conv2d(x, w, stride=stride, padding=padding),
    lambda x, w: reference(x, w, stride, padding),
    x,
    w,
    second,
    of_largest=3e-5,
  )


@pytest.mark.slow
def test_the_transpose_of_tiles_equals_its_gradient():
  x, w = data(9, 4, 64, 64, 16)
  y = np.random.default_rng(1).normal(size=(64, 8, 8, 16)).astype(np.float32)
  _, pullback = jax.vjp(lambda x: reference(x, w, 1, 1), x)
  found = conv.conv2d_transpose(y, w.swapaxes(2, 3), stride=1, size=(9, 9))
  np.testing.assert_allclose(found, pullback(y)[0], atol=1e-4)


def transposed(x, w):
  return lax.conv_transpose(
    x, w.swapaxes(2, 3), (2, 2), 'SAME', transpose_kernel=True,
    dimension_numbers=('CHWN', 'HWIO', 'CHWN'),
  )  # fmt: skip


@pytest.mark.parametrize('channels,features', WIDTHS)
def test_values_and_gradients_of_the_transpose_equal_lax(channels, features):
  x, w = data(4, 4, features, channels, batch=2 if channels < 32 else 33)
  second = channels < 32
  check_equal(conv.conv2d_transpose, transposed, x, w, second)


@pytest.mark.parametrize('size', [7, 8])
def test_a_transpose_of_three_taps_doubles_with_an_output_padding(size):
  x, w = data(4, 3, 2, 3, 2)

  def reference(x, w):
    # The image with zeros between its pixels, and two zeros after them if the
    # output is padded.
    high = size - 6
    return lax.conv_general_dilated(
      x, w[::-1, ::-1], (1, 1), ((1, high), (1, high)), lhs_dilation=(2, 2),
      dimension_numbers=('CHWN', 'HWIO', 'CHWN'),
    )  # fmt: skip

  check_equal(
    lambda x, w: conv.conv2d_transpose(x, w, size=(size, size)),
    reference,
    x,
    w,
  )


def test_few_channels_out_are_not_gathered():
  x, w = data(9, 7, 32, 2, 2)
  traced = jax.make_jaxpr(lambda: jax.grad(
    lambda w: jnp.sum(conv.conv2d(x, w) ** 2)
  )(w))()  # fmt: skip
  largest = max(v.aval.size for e in traced.jaxpr.eqns for v in e.outvars)
  # Every tap of every channel out at every pixel in, not of every channel in.
  assert largest == max(49 * 2 * 9 * 9 * 2, 32 * 9 * 9 * 2) < 49 * 32 * 9 * 2


def test_transpose_is_the_adjoint():
  x, w = data(9, 5, 2, 3)
  pads = ((1, 2), (2, 1))
  y = np.random.default_rng(1).normal(size=(3, 4, 4, 3)).astype(np.float32)

  @jax.jit
  def sides():
    back = conv.conv2d_transpose(
      y, w.swapaxes(2, 3), stride=2, padding=pads, size=(9, 9)
    )
    return jnp.vdot(conv.conv2d(x, w, stride=2, padding=pads), y), jnp.vdot(
      x, back
    )

  np.testing.assert_allclose(*sides(), rtol=1e-4)


def test_a_transpose_is_as_large_as_its_patches_reach():
  x, w = data(3, 5, 2, 3)
  shape = jax.eval_shape(
    lambda x, w: conv.conv2d_transpose(
      x, w, stride=2, padding=((1, 0), (0, 2))
    ),
    x,
    w,
  ).shape
  # Two steps of two and a kernel of five, less the padding.
  assert shape == (3, 2 * 2 + 5 - 1, 2 * 2 + 5 - 2, 3)


@pytest.mark.parametrize('channels,features', WIDTHS)
def test_vmap_over_kernels_equals_a_loop(channels, features):
  x, w = data(6, 4, channels, features)
  ws = jnp.stack([w, 2.0 * w])

  def score(w, x):
    y = conv.conv2d(x, w, stride=2, padding=1)
    return jnp.sum(y**2), y

  def gradient(w, x):
    return jax.grad(score, 1, has_aux=True)(w, x)

  @jax.jit
  def compare():
    together = jax.grad(lambda x: jax.vmap(lambda w: score(w, x)[0])(ws).sum())(
      x
    )
    alone = [gradient(w, x) for w in ws]
    values = jax.vmap(lambda w: score(w, x)[1])(ws)
    return (together, values), (
      alone[0][0] + alone[1][0],
      jnp.stack([alone[0][1], alone[1][1]]),
    )

  found, expected = compare()
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_kernel_of_other_channels_is_refused():
  x, w = data(8, 4, 3, 5)
  with pytest.raises(ValueError, match='does not fit'):
    conv.conv2d(x[:2], w, stride=2, padding=1)
  with pytest.raises(ValueError, match='exceeds'):
    conv.conv2d(x[:, :2, :2], w)


def test_a_size_with_another_number_of_patches_is_refused():
  x, w = data(7, 4, 6, 3)
  with pytest.raises(ValueError, match='patches'):
    conv.conv2d_transpose(x, w, size=(17, 17))


@pytest.mark.parametrize('size,factor', [(16, 121 / 256), (14, 100 / 196)])
def test_wide_convolutions_take_fewer_multiplications(size, factor):
  x, w = data(size, 4, 32, 64, 11)
  traced = jax.make_jaxpr(lambda: conv.conv2d(x, w, stride=2, padding=1))()
  products = [
    e for e in traced.jaxpr.eqns if e.primitive.name == 'precision_dot'
  ]
  done = sum(
    e.invars[0].aval.shape[-2] * e.outvars[0].aval.size for e in products
  )
  assert done == factor * 16 * 32 * 64 * (size // 2) ** 2 * 11


@pytest.mark.parametrize(
  'batch,products', [(15, 1), (16, 4), (31, 4), (32, 16)]
)
def test_few_patches_are_not_tiled(batch, products):
  x, w = data(8, 4, 32, 64, batch)
  traced = jax.make_jaxpr(lambda: conv.conv2d(x, w, stride=2, padding=1))()
  names = [e.primitive.name for e in traced.jaxpr.eqns]
  # Tiles of three and one more: some of the sixteen products come in pieces.
  assert names.count('precision_dot') == products


@pytest.mark.slow
def test_on_one_core_products_of_one_size_are_one():
  x, w = data(6, 4, 32, 64, 57)
  y = np.random.default_rng(1).normal(size=(64, 3, 3, 57)).astype(np.float32)

  def both():
    forward = conv.conv2d(x, w, stride=2, padding=1)
    return forward, conv.conv2d_transpose(y, w.swapaxes(2, 3))

  def products(traced):
    names = [e.primitive.name for e in traced.jaxpr.eqns]
    return names.count('precision_dot')

  # One tile of three: sixteen products of one value each, for either.
  apart = jax.jit(both)()
  assert products(jax.make_jaxpr(both)()) == 32
  with batch_shards.split(2):
    together = jax.jit(lambda: both())()
    assert products(jax.make_jaxpr(lambda: both())()) == 2
  for a, b in zip(together, apart, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
