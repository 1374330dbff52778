"""The evaluation of real, copied and wrong images."""

import numpy as np
import pytest

from coalesce_jax.data import datasets
from coalesce_jax.metrics import evaluate
from coalesce_jax.metrics import feature_registry


@pytest.fixture(scope='module', name='data')
def _data():
  train, test = (datasets.load('digits', s) for s in datasets.SPLITS)
  reference = evaluate.reference(
    feature_registry.load('digits'), test.images, train.images
  )
  return train, test, reference


def test_real_images_score_near_the_floor(data):
  train, _, reference = data
  found = evaluate.evaluate(train.images[-355:], reference)
  assert found['frechet'] < 3.0 * found['real']
  assert found['w1'] < 1.3 * found['w1_real']
  assert found['precision'] > 0.8 and found['coverage'] > 0.8
  assert found['class_tv'] < 0.1


def test_half_the_classes_are_seen_in_the_histogram(data):
  train, _, reference = data
  found = evaluate.evaluate(train.images[train.labels < 5], reference)
  assert found['class_tv'] == pytest.approx(0.5, abs=0.06)
  assert found['frechet'] > 5.0 * found['real']
  assert found['recall'] < 0.8


def test_copies_are_told_from_fresh_images(data):
  train, _, reference = data
  local = train.images[:50]
  copies = evaluate.evaluate(np.tile(local, (8, 1, 1, 1)), reference, local)
  fresh = evaluate.evaluate(train.images[50:500], reference, local)
  assert copies['memorisation'] < 0.01 and copies['copied'] == 1.0
  assert fresh['memorisation'] == pytest.approx(1.0, abs=0.15)
  assert fresh['copied'] < 0.12


def test_the_quick_score_is_the_frechet_distance(data):
  train, _, reference = data
  images = train.images[:300]
  value = evaluate.quick(images, reference)
  assert value == evaluate.evaluate(images, reference)['frechet']
  assert evaluate.label(reference, 300) == 'frechet_digits64_n300'


def test_a_reference_of_held_out_images_alone_uses_disjoint_halves(data):
  _, test, reference = data
  alone = evaluate.reference(reference.network, test.images)
  np.testing.assert_allclose(alone.features, reference.features)
  # Half the samples: a floor of about twice the height.
  assert 1.2 * reference.floor < alone.floor < 6.0 * reference.floor


def test_real_images_in_another_range_are_refused(data):
  train, test, reference = data
  network, unit = reference.network, test.images / 255.0
  for name, call in (
    ('held_out', lambda: evaluate.reference(network, unit)),
    ('train', lambda: evaluate.reference(network, test.images, unit)),
    ('local', lambda: evaluate.evaluate(train.images[:300], reference, unit)),
  ):
    with pytest.raises(ValueError, match=rf'^{name}: .*\* 2 - 1'):
      call()


def test_memorisation_is_a_ratio_that_knows_no_unit_or_is_nan():
  rng = np.random.default_rng(0)
  fake, real, local = rng.normal(size=(3, 20, 4))
  expected = evaluate.memorisation(fake, real, local)
  for scale, offset in ((1e-14, 0.0), (1e6, 1e6)):
    found = evaluate.memorisation(
      *(scale * x + offset for x in (fake, real, local))
    )
    assert found == pytest.approx(expected, rel=1e-6)
  # Held-out samples that are the local ones have no distance to compare with.
  found = evaluate.memorisation(fake, local, local)
  assert np.isnan(found['memorisation']) and found['copied'] == 0.0
