"""Augmentations: what they do to images, by name and by size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.data import augmentation


def _dot(count: int = 400, size: int = 28) -> jax.Array:
  """[count, size, size, 1], one pixel of each image set, in the middle."""
  return jnp.zeros((count, size, size, 1)).at[:, 14, 14].set(1.0)


def _reach(names: str) -> tuple[int, ...]:
  """The least and greatest rows and columns to which the pixel moves."""
  augment = augmentation.build(names)
  moved = np.asarray(augment(jax.random.key(0), _dot()))[..., 0]
  np.testing.assert_array_equal(moved.sum((1, 2)), 1.0)
  _, rows, columns = np.nonzero(moved)
  return (
    rows.min() - 14,
    rows.max() - 14,
    columns.min() - 14,
    columns.max() - 14,
  )


@pytest.mark.parametrize(
  ('names', 'pixels'),
  [('translation', 4), ('translation:0.07', 2), ('translation:0.01', 1)],
)
def test_translation_moves_by_up_to_its_part_of_the_size(names, pixels):
  assert _reach(names) == (-pixels, pixels, -pixels, pixels)


@pytest.mark.parametrize(
  ('names', 'pixels'), [('cutout', 8), ('cutout:0.5', 14)]
)
def test_cutout_clears_a_square_of_its_part_of_the_size(names, pixels):
  augment = augmentation.build(names)
  x = np.asarray(augment(jax.random.key(0), jnp.ones((400, 28, 28, 1))))
  cleared = (x == 0).sum((1, 2, 3))
  assert cleared.max() == pixels**2  # Inside the image; fewer at its border.
  assert cleared.min() >= 1


def test_they_are_applied_in_turn_with_keys_of_their_own():
  key, noise = jax.random.split(jax.random.key(1))
  x = jax.random.normal(noise, (8, 28, 28, 1))
  first, second = jax.random.split(key)
  moved = augmentation.translation(first, x, 0.07)
  both = augmentation.build('translation:0.07, flip')(key, x)
  np.testing.assert_array_equal(both, augmentation.flip(second, moved))
  assert not np.array_equal(both, moved)


@pytest.mark.parametrize(
  'names', ['blur', 'translation:', 'translation:0', 'translation:1',
            'cutout:nan', 'translation:wide', 'flip:0.5'],
)  # fmt: skip
def test_what_is_not_an_augmentation_is_refused_by_its_name(names):
  with pytest.raises(ValueError, match=names.partition(':')[0]):
    augmentation.build(names)


def test_no_name_is_no_augmentation():
  assert augmentation.build('') is None
