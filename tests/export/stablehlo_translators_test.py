"""StableHLO programs of translators: the images of JAX at any size."""

import jax
import numpy as np
import pytest

from coalesce_jax.export import stablehlo
from coalesce_jax.export import stablehlo_translators
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.transforms import int8
from tests import small


def drawn(network, **options):
  spec = generator_lib.Spec(
    network, 0, (8, 12, 2), generator_lib.freeze({'width': 2, **options}),
    condition_shape=(8, 12, 3),
  )  # fmt: skip
  return small.drawn(spec)


def check(translator, weights, *sizes):
  run = stablehlo.load(stablehlo.encode(translator, weights))
  params = translator.params
  if weights == 'int8':
    params = int8.rounded(params, ('.*/kernel',))
  for k, size in enumerate(sizes):
    x = np.random.default_rng(k).uniform(-1.0, 1.0, (k + 1, *size, 3))
    x = x.astype(np.float32)
    wanted = np.asarray(jax.jit(translator.network.apply)(params, x))
    found = np.asarray(run(x))
    assert found.shape == (k + 1, *size, 2) and wanted.std() > 0.02
    assert np.abs(found - wanted).max() <= 1e-5
  return run


@pytest.mark.parametrize('weights', ['float32', 'int8'])
def test_images_are_those_of_jax_for_any_size(weights):
  check(drawn('unet', downs=1), weights, (2, 7))


@pytest.mark.slow
@pytest.mark.parametrize(
  ('network', 'options'),
  [
    ('unet', {'downs': 8}),
    ('unet', {'downs': 2, 'norm': 'group', 'upsampling': 'resize'}),
    ('resnet', {'blocks': 1, 'norm': 'batch'}),
    ('resnet', {'blocks': 2, 'norm': 'layer', 'upsampling': 'resize'}),
  ],
)
def test_images_of_every_network_are_those_of_jax(network, options):
  check(drawn(network, **options), 'float32', (8, 8), (5, 37))


@pytest.mark.slow
def test_a_ternary_translator_is_written_in_two_bits():
  check(small.coded(drawn('unet', downs=2), 'channel', 2), 'int2', (5, 9))


def test_all_sizes_are_symbols():
  spec = drawn('resnet', blocks=1).spec
  batch, height, width, channels = stablehlo_translators.condition(spec).shape
  assert channels == 3
  for size in (batch, height, width):
    with pytest.raises(Exception, match='inconclusive'):
      bool(size >= 2)


@pytest.mark.slow
def test_a_program_takes_every_side_and_says_which_channels():
  run = check(
    drawn('resnet', blocks=1), 'float32', (2, 2), (3, 4), (4, 5), (8, 9)
  )
  # A side of one pixel repeats it.
  x = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 1, 7, 3))
  x = x.astype(np.float32)
  np.testing.assert_allclose(run(x), run(x.repeat(3, 1))[:, 1:2], atol=1e-5)
  with pytest.raises(ValueError, match='height, width, 3. and called with'):
    run(np.zeros((1, 8, 8, 2), np.float32))
