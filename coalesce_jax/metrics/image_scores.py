"""Compares images with their targets: L1, PSNR and SSIM, image by image.

    PSNR = 10 log10(R^2 / mean((x - y)^2))  in dB, R = 2
    SSIM = mean of (2 mx my + C1) (2 cxy + C2)
                   / ((mx^2 + my^2 + C1) (vx + vy + C2))

mx and vx are mean and unbiased variance over windows of 7 x 7 pixels that lie
inside the image, cxy is the covariance, C1 = (0.01 R)^2 and C2 = (0.03 R)^2.
Wang et al., "Image Quality Assessment: From Error Visibility to Structural
Similarity", 2004. The values are those of scikit-image with its defaults and
`data_range=2`.

Shapes: N images, H, W, C image in [-1, 1].
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.data import pixels

RANGE = 2.0
WINDOW = 7
_C1, _C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
# Images compared at once by `evaluate`.
_BATCH = 256


def l1(images: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the mean absolute difference of each image, `[N]`.

  Args:
    images: `[N, H, W, C]` in [-1, 1], or uint8 levels.
    targets: of the same shape.
  """
  x, y = _pair(images, targets)
  return jnp.abs(x - y).mean((1, 2, 3))


def psnr(images: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the peak signal-to-noise ratio in dB, `[N]`; inf if equal.

  Args:
    images: see `l1`.
    targets: see `l1`.
  """
  x, y = _pair(images, targets)
  return 10.0 * jnp.log10(RANGE**2 / jnp.square(x - y).mean((1, 2, 3)))


def ssim(images: jax.Array, targets: jax.Array) -> jax.Array:
  """Returns the structural similarity, `[N]`, 1 for equal images.

  Args:
    images: see `l1`; H and W are at least `WINDOW`.
    targets: see `l1`.

  Raises:
    ValueError: images are smaller than a window.
  """
  x, y = _pair(images, targets)
  if min(x.shape[1:3]) < WINDOW:
    raise ValueError(
      f'ssim: images of {x.shape[1]}x{x.shape[2]} are smaller than its '
      f'{WINDOW}x{WINDOW} window'
    )
  # Variances are differences of means: around zero they lose fewer digits.
  centre = x.mean((1, 2, 3), keepdims=True)
  dx, dy = x - centre, y - centre
  mx, my = _window_mean(dx), _window_mean(dy)
  unbiased = WINDOW**2 / (WINDOW**2 - 1.0)
  vx = unbiased * (_window_mean(dx * dx) - mx * mx)
  vy = unbiased * (_window_mean(dy * dy) - my * my)
  cxy = unbiased * (_window_mean(dx * dy) - mx * my)
  mx, my = mx + centre, my + centre
  likeness = (2.0 * mx * my + _C1) * (2.0 * cxy + _C2)
  scale = (mx * mx + my * my + _C1) * (vx + vy + _C2)
  return (likeness / scale).mean((1, 2, 3))


def evaluate(images: np.ndarray, targets: np.ndarray) -> dict[str, float]:
  """Returns the means of L1, PSNR and SSIM over all images.

  Args:
    images: `[N, H, W, C]` in [-1, 1], or uint8 levels.
    targets: of the same shape.

  Returns:
    l1: mean absolute difference.
    psnr: mean over the images that differ from their target, in dB; inf if none
      does.
    equal: fraction of images that equal their target, whose PSNR is infinite.
    ssim: mean similarity; left out for images smaller than its window.

  Raises:
    ValueError: shapes differ, or there are no images.
  """
  if images.shape != targets.shape or not len(images):
    raise ValueError(
      f'images {images.shape} and targets {targets.shape} must have one shape, '
      '[N, H, W, C] with N > 0'
    )
  measures: dict[str, Callable[..., jax.Array]] = {'l1': l1, 'psnr': psnr}
  if min(images.shape[1:3]) >= WINDOW:
    measures['ssim'] = ssim
  rows: dict[str, list[np.ndarray]] = {name: [] for name in measures}
  for start in range(0, len(images), _BATCH):
    batch = slice(start, start + _BATCH)
    for name, measure in measures.items():
      values = _compiled(measure)(images[batch], targets[batch])
      rows[name].append(np.asarray(values, np.float64))
  scores = {name: np.concatenate(values) for name, values in rows.items()}
  differs = np.isfinite(scores['psnr'])
  if differs.any():
    scores['psnr'] = scores['psnr'][differs]
  scores['equal'] = ~differs
  return {name: float(values.mean()) for name, values in scores.items()}


@functools.lru_cache(maxsize=8)
def _compiled(measure: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
  return jax.jit(measure)


def _pair(images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
  if images.shape != targets.shape or images.ndim != 4:
    raise ValueError(
      f'images {images.shape} and targets {targets.shape} must have one shape, '
      '[N, H, W, C]'
    )
  return pixels.decode(jnp.asarray(images)), pixels.decode(jnp.asarray(targets))


def _window_mean(x: jax.Array) -> jax.Array:
  """Returns means over all windows inside, `[N, H - 6, W - 6, C]`."""
  window = (1, WINDOW, WINDOW, 1)
  total = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, (1,) * 4, 'valid')
  return total / WINDOW**2
