"""StableHLO programs: the samples of JAX, from weights of two bits."""

import jax
import numpy as np
import pytest

from coalesce_jax.export import names
from coalesce_jax.export import stablehlo
from coalesce_jax.models import packing
from tests import small


@pytest.mark.parametrize('sides', [1, 2])
def test_samples_are_those_of_jax_for_any_batch(sides):
  generator = small.coded(small.drawn(small.IMAGES), 'channel', sides)
  run = stablehlo.load(stablehlo.encode(generator, 'int2'))
  z = np.random.default_rng(1).standard_normal((7, 4), np.float32)
  expected = np.asarray(jax.jit(generator.network.apply)(generator.params, z))
  # Equal samples would tell nothing.
  assert np.std(expected, 0).max() > 0.02
  for batch in (1, 7):
    found = np.asarray(run(z[:batch]))
    assert found.shape == (batch, 8, 8, 1)
    assert np.abs(found - expected[:batch]).max() <= 1e-5


def test_ternary_weights_may_be_written_in_float32():
  generator = small.coded(small.drawn(small.VECTORS), 'layer', 1)
  kinds = names.offered('stablehlo', translator=False)
  programs = {w: stablehlo.encode(generator, w) for w in kinds}
  z = np.random.default_rng(1).standard_normal((3, 2), np.float32)
  found = [stablehlo.load(program)(z) for program in programs.values()]
  np.testing.assert_allclose(*found, rtol=0.0, atol=1e-6)
  dense = small.drawn(small.VECTORS)
  size = len(stablehlo.encode(dense, 'float32'))
  assert abs(len(programs['float32']) - size) < 0.01 * size


@pytest.mark.parametrize('granularity', ['layer', 'channel'])
@pytest.mark.parametrize('negative', [0.5, 2.0])
def test_a_program_unpacks_a_leaf_exactly(granularity, negative):
  # 15 weights: the last byte of codes has a place to spare.
  codes = np.random.default_rng(0).integers(-1, 2, (5, 3))
  scale = np.float32([0.5] * 3 if granularity == 'layer' else [0.5, 1.5, 2.5])
  weight = np.where(codes > 0, scale, codes * scale * np.float32(negative))
  packed = packing.pack(weight, granularity)
  assert len(packed.scales) == 2
  found = stablehlo.unpack(packed, (5, 3), granularity)
  np.testing.assert_array_equal(found, weight)


def test_a_leaf_that_is_not_ternary_is_refused():
  generator = small.coded(small.drawn(small.VECTORS), 'layer', 1)
  params = small.drawn(small.VECTORS).params
  with pytest.raises(ValueError, match='not ternary'):
    stablehlo.encode(generator._replace(params=params), 'int2')
