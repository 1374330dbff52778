"""Programs that compute with few bits."""

import numpy as np
import pytest

from experiments.edge_runtimes import artifacts
from experiments.edge_runtimes import quantized
from experiments.edge_runtimes.configs import default

onnxruntime = pytest.importorskip('onnxruntime')


@pytest.mark.parametrize('bits', [2, 4])
def test_codes_and_scales_are_those_of_the_matrix(bits):
  rng = np.random.default_rng(0)
  signs = rng.integers(-1, 2, (40, 3))
  signs[0] = 1
  sizes = np.array([0.5, 2.0, 3.0], np.float32)
  codes, scales, zeros = quantized.packed(signs * sizes, bits)
  # Columns, blocks of 32 rows, bytes; the lowest bits come first.
  each = 8 // bits
  assert codes.shape == (3, 2, 32 // each) and codes.dtype == np.uint8
  mask = 2**bits - 1
  for column in range(3):
    for row in range(64):
      byte = int(codes[column, row // 32, row % 32 // each])
      code = byte >> bits * (row % each) & mask
      wanted = signs[row, column] if row < 40 else 0
      assert code - 2 ** (bits - 1) == wanted
  np.testing.assert_array_equal(scales, np.repeat(sizes, 2))
  assert all(z >> bits * k & mask == 2 ** (bits - 1) for z in zeros
             for k in range(min(2, each)))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('runtime', [*quantized.PRODUCTS, 'onnx_int8_static'])
def test_a_program_of_few_bits_makes_nearly_the_same_images(runtime, tmp_path):
  config = default.get_config('quick')
  config.width, config.size = 8, 28
  made = artifacts.generator(config)
  path = tmp_path / 'made.onnx'
  rng = np.random.default_rng(0)
  if runtime in quantized.PRODUCTS:
    quantized.products(made, path, quantized.PRODUCTS[runtime])
  else:
    quantized.static(made, path, rng)
  session = onnxruntime.InferenceSession(path)
  z = rng.standard_normal((5, made.spec.latent_size), np.float32)
  (images,) = session.run(None, {'z': z})
  wanted = np.asarray(made.network.apply(made.params, z))
  assert images.shape == wanted.shape
  off = np.sqrt(np.mean((images - wanted) ** 2) / np.var(wanted))
  assert 0.0 < off < 0.15
