"""Predictions without learning."""

import numpy as np
import pytest
from scipy.spatial import distance

from coalesce_jax.data import pairs
from coalesce_jax.metrics import controls

RNG = np.random.default_rng(0)


def half(count, split, channels=(3, 3), paired=True):
  one, two = (
    RNG.integers(0, 256, (count, 4, 5, c), np.uint8) for c in channels
  )
  names = tuple(map(str, range(count)))
  return pairs.Pairs('toy', split, one, two, names, names, paired)


def signed(levels):
  return levels / 127.5 - 1.0


def test_constants_are_the_mean_and_the_median():
  train, held = half(7, 'train'), half(4, 'held_out')
  found = controls.predictions(train, held)
  assert list(found) == ['copy', 'mean', 'median', 'nearest']
  for name, reduce in (('mean', np.mean), ('median', np.median)):
    expected = np.tile(reduce(signed(train.target), 0), (4, 1, 1, 1))
    np.testing.assert_allclose(found[name], expected, atol=1e-6)
  np.testing.assert_allclose(
    found['copy'], signed(held.condition), atol=1e-6
  )  # fmt: skip


def test_the_nearest_condition_is_that_of_scipy(monkeypatch):
  train, held = half(50, 'train'), half(9, 'held_out')
  flat = [signed(h.condition).reshape(len(h.names), -1) for h in (held, train)]
  rows = distance.cdist(*flat).argmin(1)
  for block in (1 << 24, 60 * 7):
    monkeypatch.setattr(controls, '_BLOCK', block)
    np.testing.assert_allclose(
      controls.nearest(train, held), signed(train.target[rows]), atol=1e-6
    )


def test_blocks_change_no_constant(monkeypatch):
  train, held = half(9, 'train'), half(2, 'held_out')
  whole = [c(train, held) for c in (controls.mean, controls.median)]
  monkeypatch.setattr(controls, '_BLOCK', 9 * 7)
  for each, control in zip(
    whole, (controls.mean, controls.median), strict=True
  ):
    np.testing.assert_allclose(control(train, held), each, atol=1e-6)


def test_a_grey_copy_becomes_coloured_like_the_target():
  train, held = half(3, 'train', (1, 3)), half(3, 'held_out', (1, 3))
  expected = np.repeat(signed(held.condition), 3, -1)
  np.testing.assert_allclose(controls.copy(train, held), expected, atol=1e-6)


def test_controls_that_make_no_sense_are_left_out_or_refused():
  train, held = half(3, 'train', paired=False), half(3, 'held_out')
  assert set(controls.predictions(train, held)) == {'copy', 'mean', 'median'}
  with pytest.raises(ValueError, match='training images without pairs'):
    controls.nearest(train, held)
  with pytest.raises(ValueError, match='held-out images without pairs'):
    controls.predictions(train, held._replace(paired=False))
  small = held._replace(target=held.target[:, :3])
  for control in controls.ALL.values():
    with pytest.raises(ValueError):
      control(half(3, 'train'), small)
