"""Adapters after the convolutions of a frozen network."""

from flax import linen as nn
import jax
import numpy as np
import pytest

from coalesce_jax.core import types
from coalesce_jax.networks import adapters
from coalesce_jax.networks import layers
from coalesce_jax.networks import translators

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


class One(nn.Module):
  """One 3 x 3 convolution of maps."""

  @nn.compact
  def __call__(self, x):
    return layers.Conv(4, 3, 1, 1, name='conv')(x)


ONE = types.Network(
  lambda key: One().init(key, np.zeros((2, 4, 5, 1), np.float32))['params'],
  lambda params, x: One().apply({'params': params}, x),
)


def convolved(x, kernel):
  """By loops: a convolution in groups that keeps the size; x `[C, h, w, B]`."""
  size, _, width, features = kernel.shape
  groups, pad = len(x) // width, size // 2
  padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  out = np.zeros((features, *x.shape[1:]))
  for f in range(features):
    first = f // (features // groups) * width
    for i in range(x.shape[1]):
      for j in range(x.shape[2]):
        patch = padded[first : first + width, i : i + size, j : j + size]
        weights = kernel[..., f].transpose(2, 0, 1)[..., None]
        out[f, i, j] = (patch * weights).sum((0, 1, 2))
  return out


def test_an_adapter_adds_convolutions_of_the_output_and_of_the_input():
  base = ONE.init(KEY)
  made = adapters.init(base, group=2)
  assert {k: v.shape for k, v in made['conv'].items()} == {
    'group': (3, 3, 2, 4), 'pointwise': (1, 1, 4, 4), 'bias': (3, 3, 1, 4),
  }  # fmt: skip
  made = jax.tree.map(
    lambda k: RNG.normal(size=k.shape).astype(np.float32), made
  )
  x = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
  o = np.asarray(ONE.apply(base, x), np.float64)
  active = np.where(o > 0, o, 0.2 * o)
  wanted = o + convolved(active, made['conv']['group'])
  wanted += convolved(active, made['conv']['pointwise'])
  wanted += np.tanh(convolved(x, made['conv']['bias']))
  found = adapters.adapted(ONE).apply({'base': base, 'adapters': made}, x)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_new_adapters_change_nothing_of_a_translator():
  network = translators.translator(
    'unet', in_channels=2, out_channels=1, width=2, downs=1, norm='none'
  )
  base = jax.jit(network.init)(KEY)
  made = adapters.init(base, group=2)
  assert sorted(made) == ['down_0', 'up_0.conv']
  assert 'bias' not in adapters.init(base, bias=False)['down_0']
  x = RNG.normal(size=(1, 4, 4, 2)).astype(np.float32)
  # The innermost map has other sides than its input, and is reached too.
  more = made | {
    'up_0.conv': made['up_0.conv'] | {'bias': made['up_0.conv']['bias'] + 1.0}
  }
  wide = adapters.adapted(network).apply
  same, other, wanted = jax.jit(
    lambda x: (
      wide({'base': base, 'adapters': made}, x),
      wide({'base': base, 'adapters': more}, x),
      network.apply(base, x),
    )
  )(x)
  np.testing.assert_allclose(same, wanted, rtol=1e-5)
  assert np.abs(other - wanted).min() > 1e-4


def test_an_adapter_of_no_convolution_is_refused():
  base = {'kernel': np.zeros((3, 3, 2, 2), np.float32)}
  made = adapters.init(base) | adapters.init({'conv': base})
  network = types.Network(lambda key: base, lambda params, x: x)
  with pytest.raises(ValueError, match='belong to no convolution'):
    adapters.adapted(network).apply({'base': base, 'adapters': made}, 0)
  resize = translators.translator(
    'unet', in_channels=1, out_channels=1, width=2, downs=1,
    upsampling='resize',
  )  # fmt: skip
  base = jax.eval_shape(resize.init, KEY)
  made = jax.eval_shape(adapters.init, base)
  assert sorted(made) == ['down_0', 'up_0']
  shape = jax.eval_shape(
    adapters.adapted(resize).apply,
    {'base': base, 'adapters': made},
    jax.ShapeDtypeStruct((1, 4, 4, 1), np.float32),
  ).shape
  assert shape == (1, 4, 4, 1)


def test_kernels_of_other_layers_are_refused():
  with pytest.raises(ValueError, match='matches no kernel'):
    adapters.init(ONE.init(KEY), leaves='dense')
  with pytest.raises(ValueError, match='no kernel of a convolution'):
    adapters.init({'dense': {'kernel': np.zeros((2, 3))}})
