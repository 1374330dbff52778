"""Layers against NumPy and XLA's own convolutions, and how they start."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.networks import layers
from coalesce_jax.networks import translation_layers

RNG = np.random.default_rng(0)


def numbers(*shape):
  return RNG.normal(size=shape).astype(np.float32)


def apply(layer, params, x):
  return layer.apply({'params': params}, x)


def near(found, expected):
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_images_become_maps_and_maps_images():
  x = numbers(2, 3, 4, 5)
  found = layers.swap(jnp.asarray(x))
  assert found.shape == (5, 3, 4, 2)
  assert float(found[4, 1, 2, 0]) == x[0, 1, 2, 4]
  np.testing.assert_array_equal(layers.swap(found), x)


@pytest.mark.parametrize(
  'kernel_size,options,stride,pads',
  [
    (4, {}, 2, ((1, 1), (1, 1))),
    (3, {'stride': 1, 'padding': ((0, 1), (2, 0))}, 1, ((0, 1), (2, 0))),
  ],
)
def test_convolutions_equal_those_of_xla(kernel_size, options, stride, pads):
  options = {'kernel_size': kernel_size, **options} if options else {}
  kernel, bias = numbers(kernel_size, kernel_size, 2, 3), numbers(3)
  params, x = {'kernel': kernel, 'bias': bias}, numbers(2, 6, 4, 5)
  names = ('CHWN', 'HWIO', 'CHWN')
  expected = lax.conv_general_dilated(
    x, kernel, (stride, stride), pads, dimension_numbers=names
  )
  found = apply(layers.Conv(3, **options), params, x)
  near(found, expected + bias[:, None, None, None])
  # The adjoint of the convolution of three channels to two.
  y = numbers(2, 3, 4, 5)
  # A pixel more than the patches reach.
  back = layers.ConvTranspose(3, size=(7, 9), **options)
  if options:
    back = layers.ConvTranspose(3, size=(4, 4), **options)
  found = apply(back, params, y) - bias[:, None, None, None]
  z = numbers(*found.shape)
  forward = lax.conv_general_dilated(
    z, kernel.swapaxes(2, 3), (stride, stride), pads, dimension_numbers=names
  )
  assert found.shape == (3, *back.size, 5)
  np.testing.assert_allclose(np.vdot(found, z), np.vdot(y, forward), rtol=1e-3)


def test_a_map_is_doubled_where_no_size_is_given():
  layer = layers.ConvTranspose(3)
  params = {'kernel': numbers(4, 4, 2, 3), 'bias': numbers(3)}
  shape = jax.eval_shape(lambda y: apply(layer, params, y), numbers(2, 3, 4, 5))
  assert shape.shape == (3, 6, 8, 5)


def test_a_projection_makes_a_map_of_every_latent():
  z, kernel, bias = numbers(5, 4), numbers(4, 2, 3, 6), numbers(6)
  expected = np.einsum('bz,zhwc->chwb', z, kernel) + bias[:, None, None, None]
  params = {'kernel': kernel, 'bias': bias}
  near(apply(layers.Project((2, 3, 6)), params, z), expected)


def test_dense_layers_are_affine():
  x, kernel, bias = numbers(5, 4), numbers(4, 3), numbers(3)
  params = {'kernel': kernel, 'bias': bias}
  near(apply(layers.Dense(3), params, x), x @ kernel + bias)


def test_a_layer_on_a_map_reads_it_as_an_image():
  x, kernel, bias = numbers(5, 2, 3, 4), numbers(24, 6), numbers(6)
  params = {'kernel': kernel, 'bias': bias}
  found = apply(layers.Flat(6), params, layers.swap(jnp.asarray(x)))
  near(found, x.reshape(5, 24) @ kernel + bias)


def test_norms_are_of_one_sample_or_one_pixel():
  x = 3.0 + 2.0 * numbers(4, 2, 3, 5)
  scale, shift = numbers(4), numbers(4)
  params = {'scale': scale, 'shift': shift}
  scale, shift = (v[:, None, None, None] for v in (scale, shift))
  mean, deviation = x.mean((0, 1, 2)), x.std((0, 1, 2))
  near(
    apply(layers.Norm('layer'), params, x),
    (x - mean) / deviation * scale + shift,
  )
  near(
    apply(layers.Norm('pixel'), params, x),
    x / np.sqrt((x**2).mean(0)) * scale + shift,
  )
  assert apply(layers.Norm('none'), {}, x) is x


@pytest.mark.parametrize(
  'norm',
  [
    layers.Norm('layer'),
    layers.Norm('pixel'),
    translation_layers.Norm('layer'),
  ],
)
def test_norms_of_kept_channels_are_those_of_a_map_without_the_others(norm):
  x, scale, shift = 3.0 + numbers(4, 2, 3, 5), numbers(4), numbers(4)
  mask = np.array([True, False, True, True])
  params = {'scale': scale, 'shift': shift}
  found = norm.apply({'params': params}, x, kept=np.float32(mask))
  fewer = {name: leaf[mask] for name, leaf in params.items()}
  near(found[mask], apply(norm, fewer, x[mask]))
  near(found[~mask], np.broadcast_to(shift[1], (1, 2, 3, 5)))


def test_a_norm_of_groups_leaves_out_no_channel():
  norm = translation_layers.Norm('group')
  params = {'scale': np.ones(4), 'shift': np.ones(4)}
  with pytest.raises(ValueError, match='group'):
    norm.apply({'params': params}, numbers(4, 2, 2, 1), kept=np.ones(4))


@pytest.mark.parametrize('kind', ['layer', 'pixel'])
def test_norms_of_nothing_are_nothing(kind):
  params = {'scale': np.ones(2, np.float32), 'shift': np.zeros(2, np.float32)}
  x = np.zeros((2, 1, 1, 1), np.float32)
  assert not apply(layers.Norm(kind), params, x).any()


def test_layers_keep_the_variance_through_rectifiers_at_the_start():
  # Each output is a sum of so many products, of which a rectifier leaves half.
  cases = {
    'conv': (layers.Conv(64), (8, 4, 4, 1), 2.0 / (16 * 8)),
    # A quarter of the taps meet a pixel.
    'transpose': (layers.ConvTranspose(64), (8, 2, 2, 1), 2.0 / (4 * 8)),
    'wide steps': (
      layers.ConvTranspose(64, stride=1, padding=1), (8, 4, 4, 1),
      2.0 / (16 * 8),
    ),
    'project': (layers.Project((4, 4, 64)), (1, 8), 2.0 / 8),
    'dense': (layers.Dense(512), (1, 16), 2.0 / 16),
    'flat': (layers.Flat(512), (4, 2, 2, 1), 2.0 / 16),
    'linear dense': (layers.Dense(512, scale=1.0), (1, 16), 1.0 / 16),
    'linear flat': (layers.Flat(512, scale=0.5), (4, 2, 2, 1), 0.5 / 16),
    'none': (layers.Dense(3, scale=0.0), (1, 4), 0.0),
  }  # fmt: skip

  @jax.jit
  def init(key):
    return {
      name: layer.init(key, jnp.ones(shape))['params']
      for name, (layer, shape, _) in cases.items()
    } | {'norm': layers.Norm('layer').init(key, jnp.ones((3, 1, 1, 1)))}

  found = init(jax.random.key(0))
  for name, (_, _, variance) in cases.items():
    kernel = np.asarray(found[name]['kernel'])
    # Five standard errors of 8,192 numbers.
    assert kernel.var() == pytest.approx(variance, rel=0.08), name
    assert abs(kernel.mean()) <= 5.0 * np.sqrt(variance / kernel.size), name
    assert not found[name]['bias'].any()
  norm = found['norm']['params']
  np.testing.assert_array_equal(norm['scale'], np.ones(3))
  np.testing.assert_array_equal(norm['shift'], np.zeros(3))
