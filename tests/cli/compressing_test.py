"""`coalesce compress`: a smaller generator from a bundle and local images."""

import jax
import numpy as np
import onnxruntime
import pytest

from coalesce_jax.compress import macs
from coalesce_jax.models import bundle
from tests import small
from tests.cli import calls

QUICK = (
  '--steps=2', '--batch_size=8', '--critic_steps=1',
  '--ternary_steps=2',
)  # fmt: skip


@pytest.fixture(name='inputs')
def _inputs(tmp_path):
  bundle.save(tmp_path / 'edge.safetensors', small.generator(1, small.PIXELS))
  np.save(tmp_path / 'local.npy', small.images(12))
  return (
    f'--node={tmp_path}/edge.safetensors', f'--local={tmp_path}/local.npy'
  )  # fmt: skip


def compress(capsys, folder, *flags):
  other = any(flag.startswith('--method') for flag in flags)
  return calls.run(
    capsys, 'compress', *flags, f'--out={folder}/small.safetensors', *QUICK,
    *([] if other else ['--agent_steps=2']),
  )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
  ('method', 'flags'),
  [('density', ['--agent_steps=2']), ('narrow_distilled', [])],
)
def test_a_bundle_becomes_a_ternary_program_of_fewer_products(
  method, flags, inputs, tmp_path, capsys
):
  code, result, error = compress(
    capsys, tmp_path, *inputs, '--macs=0.5', f'--method={method}', '--ternary',
    f'--onnx={tmp_path}/small.onnx', *flags,
  )  # fmt: skip
  assert code == 0, error
  made = bundle.load(tmp_path / 'small.safetensors')
  assert macs.total(made.spec) == result['after']['macs']
  share = result['after']['macs'] / result['before']['macs']
  assert share == pytest.approx(0.5, abs=0.05)
  assert result['after']['parameters'] < result['before']['parameters']
  assert result['after']['bytes'] < result['before']['bytes']
  assert result['after']['bytes'] == result['bytes']
  assert result['after']['distance'] != result['after']['float_distance']
  for part in ('before', 'after'):
    assert 0.0 < result[part]['milliseconds'] < 1e4
  assert made.spec.encodings['ternary']
  z = np.random.default_rng(0).standard_normal((3, 4), np.float32)
  session = onnxruntime.InferenceSession(tmp_path / 'small.onnx')
  (images,) = session.run(None, {'z': z})
  expected = made.network.apply(made.params, z)
  np.testing.assert_allclose(images, expected, atol=1e-4)


def test_the_largest_weights_are_kept_and_written(inputs, tmp_path, capsys):
  code, result, error = compress(
    capsys, tmp_path, *inputs, '--macs=0.5', '--method=magnitude',
    '--critic=drop',
  )  # fmt: skip
  assert code == 0, error
  made = bundle.load(tmp_path / 'small.safetensors')
  assert made.critic is None
  # Of 1,344 products 256 are of the affine map, and each unit has 68.
  assert dict(made.spec.options)['hidden'] == (6,)
  assert result['after']['macs'] == macs.total(made.spec)


@pytest.mark.slow
def test_without_a_weight_no_density_is_kept(inputs, tmp_path, capsys):
  made = {}
  for name, flags in {
    'none': ['--method=magnitude_local', '--density_weight=0'],
    'plain': ['--method=magnitude'],
    'kept': ['--method=magnitude_local'],
  }.items():
    folder = tmp_path / name
    folder.mkdir()
    code, _, error = compress(capsys, folder, *inputs, '--macs=0.5', *flags)
    assert code == 0, error
    leaves = jax.tree.leaves(bundle.load(folder / 'small.safetensors').params)
    made[name] = np.concatenate([np.ravel(leaf) for leaf in leaves])
  np.testing.assert_array_equal(made['none'], made['plain'])
  assert not np.array_equal(made['kept'], made['plain'])


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--macs=0',), 'macs'),
    (('--macs=1.5',), 'macs'),
    (('--macs=0.001',), 'one channel of each map takes'),
    (('--method=smaller',), 'method'),
    (('--density_weight=-1',), 'density_weight'),
    (
      ('--method=uniform', '--density_weight=1'),
      "method 'uniform' does not keep the local density",
    ),
    (
      ('--method=slimming', '--agent_steps=3'),
      "--agent_steps: method 'slimming' has no agents",
    ),
    (('--packing=trits',), '--packing=trits needs --ternary'),
    (('--onnx=small.txt',), 'onnx'),
    (('--node=none.safetensors',), 'none.safetensors'),
  ],
)
def test_bad_usage_is_refused_in_one_line(
  flags, message, inputs, tmp_path, capsys
):
  before = set(tmp_path.iterdir())
  code, _, error = compress(capsys, tmp_path, *inputs, *flags)
  assert code == 2
  assert message in error and len(error.strip().splitlines()) == 1
  assert set(tmp_path.iterdir()) == before


def test_what_a_method_needs_is_named(inputs, tmp_path, capsys):
  node = tmp_path / 'alone.safetensors'
  bundle.save(node, small.generator(1, small.PIXELS, critic=False))
  flags = f'--node={node}', inputs[1]
  code, _, error = compress(capsys, tmp_path, *flags)
  assert code == 2 and "take method 'magnitude'" in error
  assert str(node) in error
  coded = small.ternarized(small.generator(1, small.PIXELS), 'twn', 'channel')
  bundle.save(tmp_path / 'coded.safetensors', coded)
  flags = f'--node={tmp_path}/coded.safetensors', inputs[1]
  code, _, error = compress(capsys, tmp_path, *flags)
  assert code == 2 and 'is ternary' in error
  bundle.save(tmp_path / 'mixed.safetensors', small.mixed(small.PIXELS))
  flags = f'--node={tmp_path}/mixed.safetensors', inputs[1]
  code, _, error = compress(capsys, tmp_path, *flags)
  assert code == 2 and 'a mixture of nodes is not made smaller' in error
