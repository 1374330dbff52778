"""One crop and flip for both halves of a pair."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.data import pair_augmentation

SHAPE = (64, 6, 7)


def places():
  """Images whose pixels are their own rows and columns, `[64, 6, 7, 2]`."""
  rows = jnp.stack(jnp.meshgrid(*map(jnp.arange, SHAPE[1:]), indexing='ij'), -1)
  return jnp.broadcast_to(rows, (*SHAPE, 2)).astype(jnp.float32)


augment = jax.jit(
  chex.assert_max_traces(pair_augmentation.augment, n=3),
  static_argnums=(3, 4, 5),
)


def origins(crops):
  """Row and column of the corner of every crop, and whether it is mirrored."""
  crops = np.asarray(crops)
  mirrored = crops[:, 0, 0, 1] > crops[:, 0, -1, 1]
  left = crops[..., 1].min((1, 2))
  expected = np.arange(crops.shape[2])[None, None] + left[:, None, None]
  across = np.where(mirrored[:, None, None], expected[..., ::-1], expected)
  down = np.arange(crops.shape[1])[None, :, None] + crops[:, :1, :1, 0]
  shape = crops.shape[:3]
  np.testing.assert_array_equal(crops[..., 1], np.broadcast_to(across, shape))
  np.testing.assert_array_equal(crops[..., 0], np.broadcast_to(down, shape))
  return crops[:, 0, 0, 0], left, mirrored


def test_a_pair_gets_one_crop_and_flip_and_every_place_occurs():
  key = jax.random.key(0)
  one, two = augment(key, places(), places() + 100.0, (4, 5), True, True)
  assert one.shape == (64, 4, 5, 2)
  np.testing.assert_array_equal(one + 100.0, two)
  top, left, mirrored = origins(one)
  assert set(top) == {0, 1, 2} and set(left) == {0, 1, 2}
  assert 16 < mirrored.sum() < 48


def test_unpaired_images_get_their_own():
  one, two = augment(jax.random.key(1), places(), places(), (4, 5), True, False)
  for a, b in zip(origins(one), origins(two), strict=True):
    assert (a != b).mean() > 0.2


def test_without_flip_and_with_the_whole_image_nothing_changes():
  one, two = augment(
    jax.random.key(2), places(), places(), SHAPE[1:], False, True
  )
  np.testing.assert_array_equal(one, places())
  np.testing.assert_array_equal(two, places())


def test_the_same_key_gives_the_same_crops():
  runs = [
    augment(jax.random.key(k), places(), places(), (4, 5), True, True)[0]
    for k in (3, 3, 4)
  ]
  np.testing.assert_array_equal(runs[0], runs[1])
  assert not (runs[0] == runs[2]).all()


@pytest.mark.parametrize(
  'target,crop', [((64, 6, 8, 1), (4, 4)), ((64, 6, 7, 1), (7, 4))]
)
def test_sizes_that_do_not_fit_are_refused(target, crop):
  with pytest.raises(ValueError, match='differ in size|crop'):
    pair_augmentation.augment(
      jax.random.key(0), places(), jnp.zeros(target), crop
    )
