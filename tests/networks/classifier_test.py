"""The classifier by XLA's convolutions, and how far it shrinks images."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.networks import classifier


def shapes_of(network):
  shapes = jax.eval_shape(network.init, jax.random.key(0))
  return {k: v.shape for k, v in trees.flatten(shapes).items()}


def test_features_and_logits_are_those_of_the_layers():
  network = classifier.make((8, 8, 2), 5, features=6, width=3)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: jnp.float32(0.3 * rng.normal(size=leaf.shape) + 0.1),
    jax.eval_shape(network.init, jax.random.key(0)),
  )
  x = jnp.float32(rng.normal(size=(4, 8, 8, 2)))

  def reference(x):
    for name in ('conv_0', 'conv_1'):
      x = lax.conv_general_dilated(
        x, params[name]['kernel'], (2, 2), ((1, 1), (1, 1)),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      )  # fmt: skip
      x = jnp.maximum(x + params[name]['bias'], 0.0)
    x = x.reshape(4, -1) @ params['features']['kernel']
    x = jnp.maximum(x + params['features']['bias'], 0.0)
    return x, x @ params['logits']['kernel'] + params['logits']['bias']

  @jax.jit
  def both(x):
    with jax.numpy_rank_promotion('allow'):
      return network.apply(params, x), reference(x)

  found, expected = both(x)
  assert (found[0] > 0).any() and (found[0] == 0).any()
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  'size,widths,side',
  [
    # Two at least; then down to 7 pixels, or to an odd number of them.
    (8, (16, 32), 2),
    (28, (16, 32), 7),
    (32, (16, 32, 64), 4),
    (64, (16, 32, 64, 64), 4),
    (36, (16, 32), 9),
  ],
)
def test_images_shrink_to_few_pixels(size, widths, side):
  shapes = shapes_of(classifier.make((size, size, 1), 10))
  names = [f'conv_{i}' for i in range(len(widths))]
  assert [k for k in shapes if k.startswith('conv') and 'kernel' in k] == [
    f'{name}/kernel' for name in names
  ]
  assert [shapes[f'{name}/bias'] for name in names] == [(w,) for w in widths]
  assert shapes['features/kernel'] == (side * side * widths[-1], 64)
  assert shapes['logits/kernel'] == (64, 10)


def test_parameters_start_at_the_variance_of_their_layers():
  network = classifier.make((8, 8, 1), 64, features=256)
  params = jax.jit(network.init)(jax.random.key(0))
  # The last layer has no rectifier after it.
  assert params['logits']['kernel'].var() == pytest.approx(1 / 256, rel=0.05)
  assert params['features']['kernel'].var() == pytest.approx(2 / 128, rel=0.05)
