"""Splits by hashes of names."""

import hashlib

import numpy as np
import pytest

from coalesce_jax.data import splits

NAMES = [f'name {k}' for k in range(2000)]


def test_the_position_is_that_of_the_published_rule():
  # The first 48 bits of SHA-256, as a fraction: a split may never move.
  digest = hashlib.sha256(b'/cat').hexdigest()
  assert splits.position('cat') == int(digest[:12], 16) / 16**12
  assert splits.position('cat') == pytest.approx(0.0347040, abs=1e-6)


def test_another_salt_gives_independent_numbers():
  a, b = (
    np.array([splits.position(n, salt) for n in NAMES]) for salt in ('', 'x')
  )
  assert abs(np.corrcoef(a, b)[0, 1]) < 0.1


def test_about_the_fraction_is_held_out_and_equal_names_together():
  held = splits.held_out(NAMES, 0.2)
  assert 0.17 < held.mean() < 0.23
  again = splits.held_out(NAMES[::-1] + NAMES, 0.2)
  np.testing.assert_array_equal(again, np.r_[held[::-1], held])


@pytest.mark.parametrize('fraction', [0.0, 1.0])
def test_neither_side_is_empty(fraction):
  held = splits.held_out(['a', 'b', 'b', 'c'], fraction)
  assert held.any() and not held.all() and held[1] == held[2]


def test_one_name_cannot_be_split():
  with pytest.raises(ValueError, match='1 different names'):
    splits.held_out(['a', 'a'], 0.1)
