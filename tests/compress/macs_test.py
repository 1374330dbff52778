"""Counts of multiplications against XLA's convolutions and by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.compress import channels
from coalesce_jax.compress import macs
from coalesce_jax.compress import slicing
from coalesce_jax.models import generator as generator_lib
from tests.networks import translation_references as references

REFERENCES = {'unet': references.unet, 'resnet': references.resnet}


def translator(network, side, **options):
  return generator_lib.Spec(
    network, 0, (side, side, 3), generator_lib.freeze(options),
    condition_shape=(side, side, 3),
  )  # fmt: skip


def products(spec):
  """(true, literature) of the same network by XLA's convolutions.

  The zeros that a dilation inserts are 3 of 4 pixels.
  """
  with jax.numpy_rank_promotion('allow'):
    traced = jax.make_jaxpr(REFERENCES[spec.network])(
      jax.eval_shape(spec.build().init, jax.random.key(0)),
      jnp.zeros((1, *spec.condition_shape)),
    )
  true = literature = 0
  for equation in traced.eqns:
    if equation.primitive.name == 'conv_general_dilated':
      _, kernel = equation.invars
      size = math.prod(equation.outvars[0].aval.shape[1:3])
      size *= math.prod(kernel.aval.shape)
      literature += size
      true += size // math.prod(equation.params['lhs_dilation'])
  return true, literature


@pytest.mark.slow
def test_counts_are_those_of_the_published_sizes():
  unet = translator('unet', 64, width=32, downs=6)
  assert macs.total(unet) == pytest.approx(0.095e9, rel=2e-3)
  deep = translator('unet', 256, width=64, downs=8)
  assert macs.total(deep) == pytest.approx(6.05e9, rel=1e-3)
  assert macs.total(deep, 'literature') == pytest.approx(18.14e9, rel=1e-3)
  resnet = translator('resnet', 64, width=32, blocks=6)
  assert macs.total(resnet) == pytest.approx(0.567e9, rel=1e-3)
  # 56.8 G stands in the tables of GAN compression.
  wide = translator('resnet', 256, width=64, blocks=9)
  assert macs.total(wide) == pytest.approx(49.55e9, rel=1e-3)
  assert macs.total(wide, 'literature') == pytest.approx(56.8e9, rel=1e-3)


@pytest.mark.parametrize(
  'spec',
  [
    translator('unet', 256, width=64, downs=8),
    translator('resnet', 32, width=4, blocks=2),
    translator('resnet', 16, width=4, blocks=1),
  ],
)
def test_translators_count_as_the_same_convolutions_of_xla(spec):
  true, literature = products(spec)
  assert macs.total(spec) == true
  assert macs.total(spec, 'literature') == literature


def test_images_count_with_their_padding():
  whole = translator('unet', 16, width=4, downs=3)
  cropped = translator('unet', 10, width=4, downs=3)
  assert macs.per_layer(whole) == macs.per_layer(cropped)


def test_merged_upsampling_takes_four_ninths():
  spec = translator('unet', 16, width=4, downs=2, upsampling='resize')
  true, literature = macs.per_layer(spec), macs.per_layer(spec, 'literature')
  assert sum(literature.values()) == products(spec)[1]
  assert 9 * true['up_0'] == 4 * literature['up_0']
  assert true['down_0'] == literature['down_0'] == 16 * 3 * 4 * 8 * 8


def test_latent_generators_by_hand():
  options = generator_lib.freeze({'width': 4})
  spec = generator_lib.Spec('dcgan', 5, (8, 8, 3), options)
  # Maps of 2 pixels and 8 channels, 4 pixels and 4 channels, 8 pixels and 3.
  true = {
    'project': 5 * 2 * 2 * 8,
    'up_1': 16 * 8 * 4 * 2 * 2,
    'out': 16 * 4 * 3 * 4 * 4,
  }
  assert macs.per_layer(spec) == true
  output = {**true, 'up_1': 4 * true['up_1'], 'out': 4 * true['out']}
  assert macs.per_layer(spec, 'literature') == output
  of = generator_lib.freeze({'of': 'dcgan', 'count': 3, 'of_width': 4})
  several = dataclasses.replace(
    spec, network='mixture', latent_size=8, options=of
  )
  assert macs.total(several) == 3 * sum(true.values())
  hidden = generator_lib.freeze({'hidden': (6, 7), 'affine': True})
  spec = generator_lib.Spec('mlp', 5, (2, 2), hidden)
  assert macs.total(spec) == 5 * 6 + 6 * 7 + 7 * 4 + 5 * 4


def test_critics_count_too():
  spec = generator_lib.Spec(
    'dcgan', 5, (8, 8, 3), critic='patchgan',
    critic_options=generator_lib.freeze({'width': 2, 'n_layers': 1}),
  )  # fmt: skip
  assert macs.count(spec.build_critic(), (8, 8, 3)) == {
    'conv_0': 16 * 3 * 2 * 4 * 4,
    'conv_1': 16 * 2 * 4 * 3 * 3,
    'head': 16 * 4 * 1 * 2 * 2,
  }
  spec = dataclasses.replace(spec, critic='cones', critic_options=())
  with pytest.raises(ValueError, match='centers'):
    macs.count(spec.build_critic(), (8, 8, 3))


@pytest.mark.parametrize(
  'spec',
  [
    translator('unet', 16, width=4, downs=3),
    translator('resnet', 8, width=4, blocks=2, upsampling='resize'),
    generator_lib.Spec('dcgan', 5, (8, 8, 3)),
    generator_lib.Spec(
      'mixture', 5, (2,), generator_lib.freeze({'of': 'mlp', 'count': 2})
    ),
  ],
)
def test_macs_of_masks_are_those_of_the_sliced_network(spec):
  rng = np.random.default_rng(1)
  masks = {}
  for group in channels.groups(spec):
    masks[group.name] = np.arange(group.size) < rng.integers(1, group.size)
  params = jax.tree.map(
    lambda leaf: np.zeros(leaf.shape, np.float32),
    jax.eval_shape(spec.build().init, jax.random.key(0)),
  )
  small, _ = slicing.sliced(spec, params, masks)
  count = macs.of_masks(spec)
  soft = {name: jnp.float32(mask) for name, mask in masks.items()}
  found = float(count(soft))
  assert found == pytest.approx(macs.total(small), rel=1e-6)
  assert found < macs.total(spec)
  # MACs are linear in one channel, so a difference is the derivative.
  name = channels.groups(spec)[0].name
  derivative = jax.grad(count)(soft)[name][-1]
  last = {**soft, name: soft[name].at[-1].set(1.0)}
  difference = float(count(last)) - found
  np.testing.assert_allclose(derivative, difference, rtol=1e-4)


def test_an_unknown_convention_is_refused():
  with pytest.raises(ValueError, match='published'):
    macs.total(generator_lib.Spec('mlp', 2, (2,)), 'published')
