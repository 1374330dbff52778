"""Packing: exact both ways, few bits a weight, damage refused."""

import numpy as np
import pytest

from coalesce_jax.models import packing


def ternary(shape, positive, negative, seed=0):
  t = np.random.default_rng(seed).integers(-1, 2, shape)
  value = np.where(t > 0, positive, np.where(t < 0, -np.asarray(negative), 0))
  return value.astype(np.float32)


@pytest.mark.parametrize('how,per_byte', [('2bit', 4), ('trits', 5)])
@pytest.mark.parametrize('shape', [(7,), (3, 5), (4, 4, 3, 6)])
def test_round_trip_is_exact(shape, how, per_byte):
  channels = np.random.default_rng(1).uniform(0.1, 2.0, shape[-1])
  for granularity, scale in (('layer', 0.3), ('channel', channels)):
    for negative, rows in ((scale, 1), (2.0 * scale, 2)):
      weight = ternary(shape, scale, negative)
      packed = packing.pack(weight, granularity, how)
      assert packed.codes.nbytes == -(-weight.size // per_byte)
      assert packed.scales.shape[0] == rows or len(shape) == 1
      np.testing.assert_array_equal(
        packing.unpack(packed, shape, granularity, how), weight
      )


def test_a_group_of_zeros_or_of_one_sign_survives():
  weight = np.zeros((4, 3), np.float32)
  weight[:, 1] = 0.5
  packed = packing.pack(weight, 'channel')
  assert packed.scales.shape == (1, 3)
  np.testing.assert_array_equal(
    packing.unpack(packed, (4, 3), 'channel'), weight
  )


def test_weights_that_are_not_ternary_are_refused():
  with pytest.raises(ValueError, match='not ternary'):
    packing.pack(np.array([0.1, 0.2, -0.1]), 'layer')


def test_damaged_codes_are_refused():
  packed = packing.pack(ternary((2, 3), 1.0, 1.0), 'layer')
  three = packed.codes.copy()
  three[0] |= 3
  padding = packed.codes.copy()
  padding[-1] |= 1 << 6
  for codes in (three, padding):
    with pytest.raises(ValueError, match='damaged'):
      packing.unpack(packed._replace(codes=codes), (2, 3), 'layer')
  with pytest.raises(ValueError, match='do not fit'):
    packing.unpack(packed, (2, 30), 'layer')
  packed = packing.pack(ternary((2, 3), 1.0, 1.0), 'layer', 'trits')
  for codes in ([packed.codes[0], 3], [243, packed.codes[1]]):
    with pytest.raises(ValueError, match='damaged'):
      packing.unpack(
        packed._replace(codes=np.array(codes, np.uint8)),
        (2, 3), 'layer', 'trits',
      )  # fmt: skip
  with pytest.raises(ValueError, match="packing 'row'"):
    packing.pack(np.zeros(3), 'layer', 'row')
  with pytest.raises(ValueError, match='granularity'):
    packing.pack(np.zeros(3), 'row')


@pytest.mark.parametrize(
  'weight,message',
  [
    ([1.0, 1.0 + 1e-12], 'not ternary'),
    ([-1.0, -1.0 - 1e-12], 'not ternary'),
    ([1e300, 0.0], 'too large or too small'),
    ([1e-60, 0.0], 'too large or too small'),
    ([np.inf, 0.0], 'not all finite'),
    ([1.0 + 1.0j, 0.0], 'complex'),
  ],
)
def test_weights_that_rounding_would_change_are_refused(weight, message):
  with pytest.raises(ValueError, match=message):
    packing.pack(np.array(weight), 'layer')


def test_a_leaf_of_no_weights_survives():
  packed = packing.pack(np.zeros((0, 3)), 'channel')
  assert packing.unpack(packed, (0, 3), 'channel').shape == (0, 3)
