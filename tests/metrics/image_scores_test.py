"""L1, PSNR and SSIM, against scikit-image's values and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from coalesce_jax.metrics import image_scores

SSIM = jax.jit(image_scores.ssim)


def images(shape, factor):
  n = np.arange(np.prod(shape))
  return ((n * n * factor + n * 7) % 251 / 125.0 - 1.0).reshape(shape)


def pair(shape):
  x = images(shape, 3)
  return x, np.clip(0.7 * x + 0.3 * images(shape, 5), -1, 1)


# structural_similarity(x, y, data_range=2, channel_axis=-1) and
# peak_signal_noise_ratio(x, y, data_range=2) of scikit-image 0.26.0.
REFERENCE = {
  (2, 9, 12, 3): (
    [0.7148221098442674, 0.7167132602265941],
    [18.24428017084918, 18.07629079800191],
  ),
  (2, 16, 8, 1): (
    [0.49491535893860217, 0.7422571648146977],
    [18.429185283010973, 17.904843822710074],
  ),
}


@pytest.mark.parametrize('shape', REFERENCE)
def test_values_are_those_of_scikit_image(shape):
  x, y = pair(shape)
  ssim, psnr = REFERENCE[shape]
  np.testing.assert_allclose(SSIM(x, y), ssim, atol=2e-6)
  np.testing.assert_allclose(image_scores.psnr(x, y), psnr, rtol=1e-5)
  expected = np.abs(x - y).reshape(2, -1).mean(1)
  np.testing.assert_allclose(image_scores.l1(x, y), expected, rtol=1e-6)


def reference_ssim(x, y):
  """In float64 by SciPy's moving means, one channel."""

  def mean(z):
    return ndimage.uniform_filter(z, 7)[3:-3, 3:-3]

  mx, my = mean(x), mean(y)
  vx = (mean(x * x) - mx * mx) * 49 / 48
  vy = (mean(y * y) - my * my) * 49 / 48
  cxy = (mean(x * y) - mx * my) * 49 / 48
  top = (2 * mx * my + 0.02**2) * (2 * cxy + 0.06**2)
  return (top / ((mx**2 + my**2 + 0.02**2) * (vx + vy + 0.06**2))).mean()


@pytest.mark.parametrize('offset', [0.0, 0.9])
def test_faint_images_lose_no_digits(offset):
  rng = np.random.default_rng(0)
  x, y = offset + 0.01 * rng.standard_normal((2, 3, 20, 20, 1))
  expected = [
    reference_ssim(*p)
    for p in zip(
      np.float64(np.float32(x))[..., 0],
      np.float64(np.float32(y))[..., 0],
      strict=True,
    )
  ]
  np.testing.assert_allclose(SSIM(x, y), expected, atol=1e-5)


def test_equal_images_have_the_best_values():
  x, _ = pair((2, 9, 12, 3))
  np.testing.assert_allclose(SSIM(x, x), 1.0, atol=1e-6)
  assert np.isinf(image_scores.psnr(x, x)).all()
  assert not np.asarray(image_scores.l1(x, x)).any()


def test_levels_are_decoded_and_scores_can_be_differentiated():
  levels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
  signed = levels / 127.5 - 1.0
  black = np.zeros_like(levels)
  np.testing.assert_allclose(
    image_scores.l1(levels, black), (signed + 1).mean((1, 2, 3)), rtol=1e-5
  )
  slope = jax.jit(jax.grad(lambda x: image_scores.ssim(x, signed).sum()))(
    jnp.zeros((2, 8, 8, 1))
  )
  assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_the_means_of_batches_are_those_of_all():
  x, y = pair((300, 8, 8, 1))
  found = image_scores.evaluate(x, y)
  assert found.pop('equal') == 0.0 and set(found) == {'l1', 'psnr', 'ssim'}
  for name, value in found.items():
    each = np.asarray(getattr(image_scores, name)(x, y), np.float64)
    assert value == pytest.approx(each.mean(), rel=1e-6)
  assert 'ssim' not in image_scores.evaluate(x[:, :4], y[:, :4])


def test_equal_images_are_counted_apart():
  x, y = pair((4, 8, 8, 1))
  some = np.where(np.arange(4)[:, None, None, None] < 3, y, x)
  found = image_scores.evaluate(x, some)
  assert found['equal'] == 0.25
  each = np.asarray(image_scores.psnr(x, y), np.float64)
  assert found['psnr'] == pytest.approx(each[:3].mean(), rel=1e-6)
  found = image_scores.evaluate(x, x)
  assert found['equal'] == 1.0 and np.isinf(found['psnr'])


def test_other_shapes_are_refused():
  x, y = pair((2, 9, 12, 3))
  with pytest.raises(ValueError, match='one shape'):
    image_scores.l1(x, y[:1])
  with pytest.raises(ValueError, match='smaller than its 7x7 window'):
    image_scores.ssim(x[:, :6], y[:, :6])
  with pytest.raises(ValueError, match='N > 0'):
    image_scores.evaluate(x[:0], y[:0])
