"""Specs of classifiers, their costs, and static copies of one task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.federated import classifier
from tests.federated import small

CONV4 = classifier.Spec('conv4', (8, 8, 1), 3, 8, per_group=3)
RESNET = classifier.Spec('resnet', (8, 8, 3), 3, 4, per_group=2, blocks=2)


@pytest.mark.parametrize('spec', [CONV4, RESNET])
def test_the_static_network_equals_the_one_with_closed_channels(spec):
  rng = np.random.default_rng(0)
  masks = [rng.random(width) < 0.6 for width in spec.widths]
  masks = [mask | (np.arange(len(mask)) == 0) for mask in masks]
  # One group of a norm loses all its channels.
  masks[0][2:6] = False
  params = small.params(spec)
  images = jax.random.normal(jax.random.key(0), (5, *spec.image_shape))
  closed = jax.jit(spec.build().apply)(
    params, images, masks=tuple(jnp.float32(mask) for mask in masks)
  )
  made, few = classifier.static(spec, params, masks)
  found = jax.jit(made.build().apply)(few, images)
  np.testing.assert_allclose(found.logits, closed.logits, atol=1e-5)
  assert float(jnp.ptp(found.logits)) > 0.1
  assert made.gates == 'none'
  assert made.widths == tuple(int(mask.sum()) for mask in masks)
  # And it takes what `used` counts.
  gates = [jnp.float32(mask)[:, None] for mask in masks]
  counted = classifier.used(spec, gates, static=True)
  np.testing.assert_allclose(counted, [classifier.total(made)], rtol=1e-6)


def test_the_cost_of_four_convolutions_is_counted_by_hand():
  # Maps of 4, 2, 2 and 2 pixels a side: one of 2 is not halved.
  gates = (1 + 3 * 8) * 16 + 4 * 16 * 8
  first, other, last = 9 * 8 * 16, 9 * 8 * 8 * 4, 4 * 8 * 3
  assert classifier.dense(CONV4) == first + 3 * other + last
  assert classifier.total(CONV4) == first + 3 * other + last + gates
  opened = [np.zeros((8, 2), np.float32) for _ in range(4)]
  for gate, counts in zip(
    opened, [(2, 8), (4, 8), (8, 8), (1, 8)], strict=True
  ):
    for b, n in enumerate(counts):
      gate[:n, b] = 1.0
  wanted = first / 4 + other / 8 + other / 2 + other / 8 + last / 8
  np.testing.assert_allclose(
    classifier.used(CONV4, opened),
    [wanted + gates, classifier.total(CONV4)], rtol=1e-6,
  )  # fmt: skip
  share = (first * 1 / 4 + other * (1 / 2 + 1 + 1 / 8)) / (first + 3 * other)
  np.testing.assert_allclose(
    classifier.open_share(CONV4, opened), (share + 1.0) / 2, rtol=1e-6
  )


def test_the_cost_of_residual_blocks_is_counted_by_hand():
  spec = dataclasses.replace(RESNET, gates='none')
  stem, blocks = 9 * 3 * 4 * 64, 9 * (4 * 4 + 4 * 4) * 64
  second = 9 * (4 * 8 + 8 * 8) * 16 + 4 * 8 * 16
  assert classifier.total(spec) == stem + blocks + second + 8 * 3
  half = [jnp.repeat(jnp.array([1.0, 0.0]), n // 2)[:, None] for n in (4, 8)]
  closed = (blocks + second - 4 * 8 * 16) / 2
  np.testing.assert_allclose(
    classifier.used(spec, half), [classifier.total(spec) - closed]
  )


def test_channels_that_half_of_the_images_open_are_kept_and_never_none():
  gates = [np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0, 0, 1], [0, 0, 0]])]
  found = classifier.usual(gates)
  np.testing.assert_array_equal(found[0], [True, False])
  np.testing.assert_array_equal(found[1], [True, False])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'network': 'conv5'}, "network 'conv5' is not one of"),
    ({'gates': 'open'}, "gates 'open' is not one of"),
    ({'classes': 0}, 'classes 0 is not in'),
    ({'width': True}, 'width True is not a whole number'),
    ({'image_shape': (8, 8)}, 'is not \\(H, W, C\\)'),
    ({'image_shape': (8, 8, 1 << 20)}, 'a size of an image'),
    ({'image_shape': (8, 4, 1)}, 'are not square'),
    ({'widths': (8, 8)}, 'widths'),
    ({'groups': ((8,),)}, '1 lists of groups for 4 norms'),
    ({'groups': ((7,),) * 4}, 'do not fill 8 channels'),
    ({'groups': ((9,),) * 4}, 'a group 9'),
    ({'width': 1024, 'per_group': 1}, 'per_group 1 is not in'),
    (
      {'per_group': 8, 'width': 1024, 'groups': ((1,) * 1024,) * 4},
      'number of',
    ),
    ({'network': 'resnet', 'width': 512, 'blocks': 6}, 'width'),
  ],
)
def test_a_bad_spec_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(CONV4, **changes)
