"""Keys of callers: legacy ones become typed ones of the same stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import keys


def same(a, b):
  return np.array_equal(jax.random.key_data(a), jax.random.key_data(b))


def test_a_typed_key_stays_what_it_is():
  for key in (jax.random.key(3), jax.random.split(jax.random.key(3), 2)):
    assert keys.typed(key) is key
  other = jax.random.key(3, impl='rbg')
  assert keys.typed(other) is other


@pytest.mark.parametrize('convert', [lambda x: x, np.asarray])
def test_a_legacy_key_gives_the_typed_key_of_its_seed(convert):
  legacy, typed = jax.random.PRNGKey(3), jax.random.key(3)
  found = keys.typed(convert(legacy))
  assert found.dtype == typed.dtype and same(found, typed)
  several = keys.typed(convert(jax.random.split(legacy, 4)))
  assert several.shape == (4,) and same(several, jax.random.split(typed, 4))


def test_legacy_keys_may_be_traced():
  draw = lambda key: jax.random.normal(keys.typed(key), (3,))  # noqa: E731
  legacy, typed = (
    jax.random.split(make(0), 5)
    for make in (jax.random.PRNGKey, jax.random.key)
  )
  for mapped in (jax.vmap(draw), jax.jit(jax.vmap(draw))):
    np.testing.assert_array_equal(mapped(legacy), mapped(typed))


@pytest.mark.parametrize(
  ('key', 'match'),
  [
    (7, r'key: the number 7, not a random key; pass jax.random.key\(7\)$'),
    (np.int64(8), r'the number 8, .*; pass jax.random.key\(8\)$'),
    (True, r'key: bool, not a random key; pass jax.random.key\(SEED\)$'),
    (None, 'key: NoneType, not a random key'),
    ([0, 1], 'key: list, not a random key'),
    (np.random.default_rng(0), 'key: numpy.Generator, not a random key'),
    (jnp.zeros(2), r'key: float32 of shape \(2,\), not a random key; pass'),
    (jnp.zeros(2, jnp.int32), r'key: int32 of shape \(2,\), not a random'),
    (jnp.zeros(3, jnp.uint32), r'key: uint32 of shape \(3,\), not a random'),
    (np.uint32(3), 'key: the number 3'),
    (jnp.uint32(3), r'key: uint32 of shape \(\), not a random key'),
    (np.zeros((2, 3, 2), np.uint32), r'key: \(2, 3\) keys; pass one key, or'),
  ],
)
def test_what_is_no_key_is_refused_in_one_line(key, match):
  with pytest.raises(ValueError, match=match) as caught:
    keys.typed(key)
  assert '\n' not in str(caught.value)


def test_several_keys_are_refused_where_one_is_wanted():
  several = jax.random.split(jax.random.key(0), 3)
  with pytest.raises(ValueError, match=r'^key: \(3,\) keys; pass one key$'):
    keys.typed(several, 0)
