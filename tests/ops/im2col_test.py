"""Factors of products: together a convolution, apart each other's adjoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import im2col
from coalesce_jax.ops import kernel_factors
from coalesce_jax.ops import patch_geometry

# Kernel, stride, padding, image, directions of saved products, stacked, leading
# axes. Results by tiles of three: none, one or two beyond them, and many tiles.
CASES = {
  'blocks read in part': (5, 2, ((1, 2), (2, 0)), (6, 9), 0, False, (2,)),
  'cropped': (3, 3, ((0, 0), (1, 0)), (8, 5), 0, False, (2,)),
  'overlapping': (3, 1, ((1, 1), (0, 1)), (3, 4), 0, False, ()),
  'columns': (4, 2, ((1, 1), (1, 1)), (8, 10), 1, False, ()),
  'columns of two tiles': (2, 1, ((0, 0), (0, 0)), (3, 8), 1, True, (2,)),
  'both': (4, 2, ((1, 1), (0, 2)), (14, 12), 2, False, ()),
  'both, stacked': (4, 2, ((1, 1), (1, 1)), (4, 10), 2, True, (2,)),
}


def made(case):
  kernel, stride, pads, image, tiled, stacked, lead = CASES[case]
  shape = patch_geometry.geometry(image, (kernel, kernel, 3, 2), stride, pads)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(*lead, 3, *image, 2)).astype(np.float32)
  w = rng.normal(size=(*lead, kernel, kernel, 3, 2)).astype(np.float32)
  return shape._replace(tiled=tiled, stacked=stacked), pads, lead, x, w


def reference(x, w, stride, pads):
  """Every patch by the kernel, in float64."""
  x = np.pad(x.astype(np.float64), ((0, 0), *pads, (0, 0)))
  patches = np.lib.stride_tricks.sliding_window_view(x, w.shape[:2], (1, 2))
  return np.einsum('chwbij,ijcf->fhwb', patches[:, ::stride, ::stride], w)


def inner(a, b):
  return sum(jnp.vdot(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize('case', CASES)
def test_products_of_the_factors_are_the_convolution(case):
  shape, pads, lead, x, w = made(case)

  def single(x, w):
    def gather(x):
      return im2col.gather([x], shape)

    def spread(y):
      return im2col.spread([y], shape)

    factors = zip(
      kernel_factors.kernel_matrices(w, shape), gather(x), strict=True
    )
    products = [jnp.einsum('...cf,...cn->...fn', a, b) for a, b in factors]
    (y,) = im2col.join(products, shape)
    # Both pairs of adjoints, against numbers in the other map's place.
    p = [jnp.cos(3.0 * u) for u in gather(x)]
    q = [jnp.sin(2.0 * v) for v in spread(y)]
    return y, (
      (inner(gather(x), p), inner([x], im2col.scatter(p, shape))),
      (inner(spread(y), q), inner([y], im2col.join(q, shape))),
    )

  # Any leading axes.
  y, sides = jax.jit(jax.vmap(single) if lead else single)(x, w)
  if not lead:
    x, w, y = x[None], w[None], y[None]
  for found, image, kernel in zip(y, x, w, strict=True):
    expected = reference(image, kernel, shape.stride, pads)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  for one, other in sides:
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
