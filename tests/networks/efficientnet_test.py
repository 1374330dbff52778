"""EfficientNet-Lite0: a block by hand, XLA's own convolutions, shapes."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.networks import efficientnet

SMALL = (
  efficientnet.Block(3, 1, 1, 4, 3),
  efficientnet.Block(5, 2, 2, 3, 5),
  efficientnet.Block(3, 1, 2, 5, 5),
)


def parameters(blocks, classes=7):
  rng = np.random.default_rng(0)
  params = {}
  for path, shape in efficientnet.kernels(blocks).items():
    node = params
    for part in path.split('/'):
      node = node.setdefault(part, {})
    scale = 1.0 / np.sqrt(np.prod(shape[:3]))
    node['kernel'] = jnp.float32(scale * rng.normal(size=shape))
    node['bias'] = jnp.float32(0.1 * rng.normal(size=shape[-1:]))
  params['logits'] = {
    'kernel': jnp.float32(rng.normal(size=(efficientnet.HEAD, classes))),
    'bias': jnp.zeros(classes),
  }
  return params


def convolution(x, leaf, stride, groups=1):
  y = lax.conv_general_dilated(
    x,
    leaf['kernel'],
    (stride, stride),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    precision=lax.Precision.HIGHEST,
  )
  return y + leaf['bias'][None, None, None]


def reference(params, x, blocks):
  """The network by XLA's convolutions, depthwise ones as groups."""
  x = jnp.clip(convolution(x, params['stem'], 2), 0.0, 6.0)
  for i, block in enumerate(blocks):
    leaves, y = params[f'block_{i:02d}'], x
    if 'expand' in leaves:
      y = jnp.clip(convolution(y, leaves['expand'], 1), 0.0, 6.0)
    y = convolution(y, leaves['depthwise'], block.stride, y.shape[-1])
    y = convolution(jnp.clip(y, 0.0, 6.0), leaves['project'], 1)
    x = x + y if x.shape == y.shape else y
  x = jnp.clip(convolution(x, params['head'], 1), 0.0, 6.0)
  x = x.mean((1, 2))
  return x, x @ params['logits']['kernel'] + params['logits']['bias'][None]


def test_a_block_of_one_pixel_is_what_one_computes_by_hand():
  # Of a 3x3 kernel only the middle meets a map of one pixel.
  middle = np.full((3, 3, 1, 2), 9.0, np.float32)
  middle[1, 1, 0] = [2.0, -1.0]
  params = {
    'expand': {
      'kernel': jnp.array([[[[1.0, 3.0]]]]), 'bias': jnp.array([0.5, 1.0])
    },
    'depthwise': {
      'kernel': jnp.array(middle), 'bias': jnp.array([-1.0, 7.0])
    },
    'project': {
      'kernel': jnp.array([[[[10.0], [100.0]]]]), 'bias': jnp.array([0.25])
    },
  }  # fmt: skip
  block = efficientnet.Block(3, 1, 2, 1, 1)
  # x = 2: expanded to 2.5 and 7, cut at 6; 2 * 2.5 - 1 = 4 and 7 - 6 = 1.
  y = efficientnet.bottleneck(params, jnp.full((1, 1, 1, 1), 2.0), block)
  assert y.item() == 2.0 + 10.0 * 4.0 + 100.0 * 1.0 + 0.25
  # x = -2: expanded to 0 and 0; -1, cut at 0, and 7, cut at 6.
  y = efficientnet.bottleneck(params, jnp.full((1, 1, 1, 1), -2.0), block)
  assert y.item() == -2.0 + 100.0 * 6.0 + 0.25


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [3, 5])
@pytest.mark.parametrize('shape', [(6, 6), (5, 8), (1, 3)])
def test_depthwise_equals_grouped_convolution(stride, size, shape):
  rng = np.random.default_rng(0)
  x = jnp.float32(rng.normal(size=(2, *shape, 4)))
  kernel = jnp.float32(rng.normal(size=(size, size, 1, 4)))
  leaf = {'kernel': kernel, 'bias': jnp.zeros(4)}
  found, expected = jax.jit(
    lambda: (
      efficientnet.depthwise(x, kernel, stride),
      convolution(x, leaf, stride, 4),
    )
  )()
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('side', [12, 15])
def test_a_small_network_equals_the_one_of_xla(side):
  params = parameters(SMALL)
  x = np.random.default_rng(1).normal(size=(3, side, side, 3))

  @jax.jit
  def both(params, x):
    return efficientnet.apply(params, x, SMALL), reference(params, x, SMALL)

  (features, logits), expected = both(params, jnp.float32(x))
  assert features.shape == (3, 1280) and logits.shape == (3, 7)
  assert 0.0 < features.std()
  np.testing.assert_allclose(features, expected[0], atol=1e-5)
  np.testing.assert_allclose(logits, expected[1], atol=1e-4)


def test_lite0_has_the_published_size():
  shapes = efficientnet.kernels()
  assert len(efficientnet.LITE0) == 16 and efficientnet.LITE0[-1].outputs == 320
  # 4.7 million with two parameters a channel of every normalisation.
  last = efficientnet.CLASSES * (efficientnet.HEAD + 1)
  count = sum(np.prod(s) + 2 * s[-1] for s in shapes.values()) + last
  assert count == 4_652_008
