"""Features of images: batches, probabilities, what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.metrics import features

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)


def apply(params, x):
  flat = x.reshape(len(x), -1)
  return flat, 2.0 * flat @ params


NETWORK = features.Features(
  'plain', apply, jnp.asarray(KERNEL), (2, 2, 1), 3, float('nan')
)
IMAGES = RNG.integers(0, 256, (10, 2, 2, 1), np.uint8)


def test_features_and_probabilities_are_those_of_decoded_pixels():
  found, probabilities = features.extract(NETWORK, IMAGES)
  x = IMAGES.reshape(10, 4) / 127.5 - 1.0
  np.testing.assert_allclose(found, x, atol=1e-6)
  odds = np.exp(2.0 * x @ KERNEL)
  expected = odds / odds.sum(1, keepdims=True)
  np.testing.assert_allclose(probabilities, expected, rtol=1e-4)
  assert found.dtype == probabilities.dtype == np.float32
  # Numbers in [-1, 1] are taken as they are, by NumPy or JAX.
  numbers = jnp.float32(x.reshape(IMAGES.shape))
  np.testing.assert_allclose(
    features.extract(NETWORK, numbers)[0], x, rtol=1e-6
  )


@pytest.mark.parametrize('batch', [1, 4, 5, 10, 99])
def test_batches_do_not_change_features(batch):
  whole = features.extract(NETWORK, IMAGES)
  small = NETWORK._replace(batch=batch)
  for found in (
    features.extract(NETWORK, IMAGES, batch), features.extract(small, IMAGES)
  ):  # fmt: skip
    for a, b in zip(found, whole, strict=True):
      assert a.shape == b.shape
      np.testing.assert_allclose(a, b, rtol=1e-5)


def test_all_batches_of_a_call_are_one_program():
  sizes = []

  def traced(params, x):
    sizes.append(len(x))
    return apply(params, x)

  network = NETWORK._replace(apply=traced)
  features.extract(network, IMAGES, 4)
  assert sizes == [4]
  # No batch is larger than the images.
  features.extract(network, IMAGES[:3], 7)
  assert sizes == [4, 3]


def test_bad_images_are_refused():
  with pytest.raises(ValueError, match=r"\(2, 3, 1\), features 'plain' take"):
    features.extract(NETWORK, np.zeros((2, 2, 3, 1), np.uint8))
  numbers = np.zeros((10, 2, 2, 1), np.float32)
  for bad in (np.nan, np.inf):
    numbers[6, 0, 1] = bad
    with pytest.raises(ValueError, match='images 4 to 7 are not all finite'):
      features.extract(NETWORK, numbers, 4)
    with pytest.raises(ValueError, match='images 0 to 9 are not all finite'):
      features.extract(NETWORK, numbers)


def test_clouds_of_features_become_float64():
  found = features.check(np.float32([[1.0], [2.0]]))
  assert found.dtype == np.float64 and found.tolist() == [[1.0], [2.0]]
  for bad, message in (
    (np.zeros(3), r'features \(3,\) are not'),
    (np.zeros((1, 3)), r'features \(1, 3\) are not'),
    (np.zeros((2, 3, 1)), 'are not'),
    ([[0.0], [np.nan]], 'not all finite'),
  ):
    with pytest.raises(ValueError, match=message):
      features.check(bad)
