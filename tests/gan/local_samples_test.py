"""Local samples: checked, split and padded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import local_samples
from coalesce_jax.gan import sources

KEY = jax.random.key(0)


def rows(source):
  """The set of rows that a source draws, as first numbers."""
  drawn = sources.draw((source,), KEY, 2000)[0]
  return sorted(set(np.asarray(drawn).reshape(2000, -1)[:, 0].tolist()))


@pytest.mark.parametrize(
  ('count', 'fraction', 'held'),
  [(20, 0.1, 2), (8, 0.0, 0), (8, 0.01, 1), (9, 0.5, 4), (8, 0.99, 7)],
)
def test_at_least_one_sample_is_held_out_and_one_is_not(count, fraction, held):
  assert local_samples.held_out(count, fraction) == held


def test_the_last_rows_are_held_out_and_padding_is_never_drawn():
  images = jnp.arange(1.0, 11.0)[:, None]
  train, held = local_samples.split_held_out(images, 0.3)
  assert rows(train) == [1, 2, 3, 4, 5, 6, 7] and rows(held) == [8, 9, 10]


def test_without_a_fraction_all_samples_do_both():
  train, held = local_samples.split_held_out(jnp.arange(8.0)[:, None], 0.0)
  assert rows(train) == rows(held) == list(range(8))


def shapes(source):
  return [leaf.shape for leaf in jax.tree.leaves(source)]


def test_small_sets_of_other_sizes_have_equal_shapes_and_large_ones_their_own():
  for shape, same in (((2,), True), ((64, 64), False)):
    few, more = (
      local_samples.split_held_out(jnp.zeros((n, *shape)), 0.0)[0]
      for n in (8, 13)
    )
    assert (shapes(few) == shapes(more)) == same


def test_wrong_shapes_and_too_few_samples_are_refused():
  images = np.zeros((3, 8, 2), np.float32)
  checked = local_samples.check(images, (2,), (3,))
  assert isinstance(checked, jax.Array) and checked.shape == images.shape
  with pytest.raises(ValueError, match='the generator makes'):
    local_samples.check(images, (2,))
  with pytest.raises(ValueError, match='the generator makes'):
    local_samples.check(np.zeros(8), (2,), (3,))
  with pytest.raises(ValueError, match='7 local samples, at least 8'):
    local_samples.check(images[:, 1:], (2,), (3,))
