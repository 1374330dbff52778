"""Runtimes on one core: the plan, what is checked, what is compared."""

import json
import lzma
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.trials import trials
from experiments.edge_runtimes import artifacts
from experiments.edge_runtimes import child
from experiments.edge_runtimes import main
from experiments.edge_runtimes import runtimes
from experiments.edge_runtimes import tables
from experiments.edge_runtimes import train
from experiments.edge_runtimes.configs import default

needs_affinity = pytest.mark.skipif(
  not hasattr(os, 'sched_getaffinity'), reason='no core can be chosen'
)


def never():
  return False


@needs_affinity
def test_stages_have_the_trials_of_the_plan_in_its_order(tmp_path):
  config = default.get_config()
  names = list(train.plan(str(tmp_path), config, never))
  # One task: nothing runs beside what is measured.
  assert train.stages(config) == [[names]]
  assert names == ['files', 'compression', 'cold', 'quality', 'speed']


@needs_affinity
@pytest.mark.parametrize(
  'field,value,match',
  [
    ('runtimes', ('nope',), "'nope'"),
    ('cold.rounds', 0, 'rounds 0'),
    ('speed.rounds', 0, 'rounds 0'),
    ('speed.seconds', 0.0, 'seconds'),
    ('speed.batches', (1, 0), 'batches'),
    ('core', 4096, 'core 4096'),
    ('size', 9, '9'),
    ('node', 'nope.safetensors', 'nope.safetensors'),
    ('large', 'nope.safetensors', 'nope.safetensors'),
    ('features', 'nope', "'nope'"),
    ('samples', 0, 'samples'),
  ],
)
def test_bad_settings_are_refused_before_anything_is_done(field, value, match):
  config = default.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(ValueError, match=match):
    train.validate(config)
  with pytest.raises(ValueError, match='variant'):
    default.get_config('slow')


def ternary(width=4, latent_size=8):
  """A ternary generator of random codes, without what JAX has to compile."""
  spec = generator.Spec(
    'dcgan', latent_size, (8, 8, 1), (('width', width),),
    encodings={'ternary': {
      'scheme': 'twn', 'granularity': 'channel',
      'leaves': ['project/kernel', 'up_1/kernel'],
    }},
  )  # fmt: skip
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))
  params = jax.tree.map(
    lambda leaf: rng.integers(-1, 2, leaf.shape).astype(np.float32), shapes
  )
  return generator.create(spec, params)


@needs_affinity
def test_a_bundle_of_ones_own_is_taken(tmp_path):
  config, made = default.get_config('quick'), ternary()
  config.node = str(tmp_path / 'node.safetensors')
  bundle.save(config.node, made)
  train.validate(config)
  again = artifacts.generator(config)
  np.testing.assert_array_equal(
    again.params['project']['kernel'], made.params['project']['kernel']
  )
  config.large = str(tmp_path / 'large.safetensors')
  bundle.save(config.large, ternary(latent_size=4))
  with pytest.raises(ValueError, match=r'large .* of 4 latents, the node has'):
    train.validate(config)


def test_every_runtime_has_a_loader_and_labels_differ():
  rows = runtimes.TABLE.values()
  assert {row.loader for row in rows} == set(child.LOADERS)
  assert len({row.label for row in rows}) == len(rows)
  assert {name for row in rows for name in row.uses} <= set(child.HEAVY)


def test_a_runtime_without_its_package_is_left_out():
  without = lambda package: None if package == 'torch' else package
  assert runtimes.missing('torch', without) == ['torch']
  assert runtimes.missing('onnx_int2_run', without) == []
  assert runtimes.missing('jax_bundle', without) == []


def test_files_of_what_is_not_installed_are_left_out_with_a_line(
  tmp_path, monkeypatch
):
  config = default.get_config('quick')
  config.node = str(tmp_path / 'node.safetensors')
  bundle.save(config.node, ternary())
  config.runtimes = ('numpy', 'onnx_int2_run', 'jax_bundle', 'torch')
  lines = []
  without = lambda name: list(runtimes.TABLE[name].needs)
  monkeypatch.setattr(runtimes, 'missing', without)
  monkeypatch.setattr(
    artifacts.logging, 'info', lambda text, *more: lines.append(text % more)
  )
  found = artifacts.write(config, tmp_path / 'files')
  assert set(found['bytes']) == {'numpy', 'jax_bundle'}
  assert lines == [
    'onnx_int2_run is left out: no onnx, onnxruntime',
    'torch is left out: no torch',
  ]
  assert train._present(config, tmp_path / 'files') == ['numpy', 'jax_bundle']
  assert found['quantized'] is None
  assert (found['parameters'], found['ternary']) == (869, 768)


def test_a_float_generator_has_no_rows_of_few_bits(tmp_path):
  config, made = default.get_config('quick'), ternary()
  config.node = str(tmp_path / 'node.safetensors')
  plain = generator.Spec('dcgan', 8, (8, 8, 1), made.spec.options)
  bundle.save(config.node, generator.create(plain, made.params))
  train.validate(config)
  config.runtimes = ('numpy', 'onnx_int2_run', 'stablehlo_int2', 'jax_bundle')
  found = artifacts.write(config, tmp_path / 'files')
  assert set(found['bytes']) == {'numpy', 'jax_bundle'}
  assert (found['parameters'], found['ternary']) == (869, 0)
  compressed = artifacts.compress(artifacts.generator(config))
  assert [row['stored'] for row in compressed['rows']] == ['float32']
  assert compressed['entropy_bytes'] == 0


def test_the_child_brings_no_runtime_of_its_own():
  code = (
    'import sys, experiments.edge_runtimes.child as child; '
    'print([name for name in (*child.HEAVY, "numpy") if name in sys.modules])'
  )
  said = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True,
    cwd=runtimes._ROOT,
  )  # fmt: skip
  assert said.stdout.strip() == '[]'


def test_other_images_are_an_error_unless_the_runtime_rounds(tmp_path):
  images = np.zeros((3, 4, 4, 1), np.float32)
  np.save(tmp_path / runtimes.IMAGES, images)
  off = images.copy()
  off[1, 2, 3, 0] = 0.5
  assert train.compared('torch', images, tmp_path)['difference'] == 0.0
  with pytest.raises(RuntimeError, match='torch'):
    train.compared('torch', off, tmp_path)
  found = train.compared('onnx_int8', off, tmp_path)
  assert found['difference'] == 0.5
  assert found['mean_difference'] == pytest.approx(0.5 / 48.0)
  off[0] = np.nan
  with pytest.raises(RuntimeError, match='onnx_int8'):
    train.compared('onnx_int8', off, tmp_path)
  with pytest.raises(RuntimeError, match='makes'):
    train.compared('torch', images[:1], tmp_path)
  whole = (tmp_path / runtimes.IMAGES).read_bytes()
  for data in (whole[:-1], whole[:20], b'x', b''):
    (tmp_path / runtimes.IMAGES).write_bytes(data)
    with pytest.raises(ValueError, match='damaged .*; remove ') as caught:
      train.compared('torch', images, tmp_path)
    assert '\n' not in str(caught.value)


def test_entropy_of_codes_has_its_closed_form():
  assert artifacts.entropy_bytes(np.array([1, -1] * 8)) == pytest.approx(2.0)
  assert artifacts.entropy_bytes(np.zeros(9)) == 0.0
  shares = np.array([0.5, 0.25, 0.25])
  codes = np.repeat([0, 1, -1], (shares * 64).astype(int))
  assert artifacts.entropy_bytes(codes) == pytest.approx(64 * 1.5 / 8)


def test_compressors_give_back_what_they_took():
  data = bytes(range(50)) * 50
  assert lzma.decompress(artifacts.COMPRESSORS['lzma'](data)) == data
  assert set(artifacts.COMPRESSORS) == {'plain', 'zlib', 'bz2', 'lzma'}


def test_packing_beats_compression_of_floats():
  found = artifacts.compress(ternary(width=16, latent_size=32))
  rows = {row['stored']: row for row in found['rows']}
  plain = {name: row['plain'] for name, row in rows.items()}
  assert plain['float32'] > plain['2 bits a weight']
  assert plain['2 bits a weight'] > plain['1.6 bits a weight']
  # Nothing that codes single weights is below their entropy.
  assert (
    min(row[k] for row in rows.values() for k in artifacts.COMPRESSORS)
    > (found['entropy_bytes'])
  )


STARTS = {
  'numpy': {'cold_seconds': [0.1, 0.1, 0.1], 'peak_mib': [20.0, 21.0, 22.0]},
  # A busy second round meets both.
  'onnx_float32': {
    'cold_seconds': [0.2, 2.0, 0.2], 'peak_mib': [50.0, 51.0, 52.0],
  },
  'torch': {'cold_seconds': [0.8, 8.0, 0.4], 'peak_mib': [102.0] * 3},
}  # fmt: skip
RESULTS = {
  'files': {
    'bytes': {'numpy': 0, 'onnx_float32': 1000, 'torch': 1500},
    'parameters': 200, 'ternary': 180, 'seconds': 1.0, 'versions': {},
    'quantized': {
      'operators': ['MatMulInteger'], 'leaves': ['project/kernel'],
      'weights': 50,
    },
  },
  'compression': {
    'rows': [{'stored': 'float32', 'plain': 900, 'zlib': 80, 'bz2': 70,
              'lzma': 60}],
    'entropy_bytes': 42, 'seconds': 1.0,
  },
  'cold': {
    'seconds': 9.0,
    **{
      name: {
        **row, 'batch_peak_mib': row['peak_mib'],
        'difference': None if name == 'numpy' else 3e-7,
        'mean_difference': None if name == 'numpy' else 1e-8,
      }
      for name, row in STARTS.items()
    },
  },
  'quality': {'frechet': {}},
  'speed': {
    'onnx_float32': {'1': [1e-3, 1e-2, 1e-3], '64': [1e-3] * 3},
    'torch': {'1': [2e-3, 2e-2, 1e-3], '64': [5e-4] * 3},
    'seconds': 9.0,
  },
}  # fmt: skip


def test_rows_are_medians_and_medians_of_the_ratios_of_turns():
  summary = train.summarise(RESULTS)
  rows = {row['name']: row for row in summary['rows']}
  row = rows['torch']
  assert row['cold_seconds'] == 0.8 and row['above_mib'] == 81.0
  assert row['images_a_second'] == {'1': 500.0, '64': 2000.0}
  assert row['ratios'] == pytest.approx(
    {'bytes': 1.5, 'cold': 4.0, 'peak': 2.0, 'images_1': 0.5, 'images_64': 2.0}
  )
  assert rows['numpy']['ratios'] == {}
  assert set(summary['measured']['speed']) == {'onnx_float32', 'torch'}


def test_tables_and_the_figure_have_every_row():
  summary = train.summarise(RESULTS)
  text = tables.write(summary)
  assert (
    '| PyTorch, eager | 1,500 (1.50) | 0.80 (4.00) | 102 (2.00) | 81 '
    '| 500 (0.50) | 2,000 (2.00) | 3e-07 |'
  ) in text
  assert '| Python with NumPy |  | 0.10 | 21 | 0 |  |  |  |' in text
  assert '`project/kernel`, 25% of the parameters, by MatMulInteger' in text
  assert '| float32 | 900 | 80 | 70 | 60 |' in text and '42 bytes' in text
  assert set(tables.figures(summary)) == {'runtimes'}
  scored = {**RESULTS, 'quality': {'frechet': {'torch': 31.25}}}
  text = tables.write(train.summarise(scored))
  assert '| 500 (0.50) | 2,000 (2.00) | 3e-07 | 1e-08 | 31.2 |' in text


def test_without_the_reference_there_are_no_ratios():
  results = json.loads(json.dumps(RESULTS))
  for part in (results['files']['bytes'], results['cold'], results['speed']):
    part.pop('onnx_float32')
  results['files']['quantized'] = None
  summary = train.summarise(results)
  assert all(row['ratios'] == {} for row in summary['rows'])
  text = tables.write(summary)
  assert '| PyTorch, eager | 1,500 | 0.80 | 102 | 81 | 500 | 2,000 |' in text
  assert 'int8' not in text


@pytest.mark.slow
@needs_affinity
def test_the_runtimes_run_and_are_not_run_again(tmp_path):
  # As the command line hands it over.
  config = default.get_config('quick')
  config.large = str(tmp_path / 'large.safetensors')
  bundle.save(config.large, ternary(width=8))
  config.features, config.samples = 'digits', 100
  config.lock()
  first = trials.complete(main.EXPERIMENT, config, str(tmp_path))
  wanted = [n for n in runtimes.TABLE if not runtimes.missing(n)]
  assert list(first['bytes']) == wanted
  summary = json.loads((tmp_path / 'summary.json').read_text())
  rows = {row['name']: row for row in summary['rows']}
  for name, row in rows.items():
    assert (
      row['cold_seconds'] > 0.0 and row['batch_peak_mib'] >= row['peak_mib']
    )
    if name == runtimes.EMPTY:
      continue
    assert row['above_mib'] > 1.0
    assert set(row['images_a_second']) == {'1', '64'}
    # More images a second in a batch, of a network as small as this.
    assert row['images_a_second']['64'] > row['images_a_second']['1'] > 0.0
    if runtimes.TABLE[name].tolerance is not None:
      assert row['difference'] <= 1e-4
  # All kernels but the last one's 64 weights.
  assert (summary['parameters'], summary['ternary']) == (869, 768)
  # Equal weights make equal samples, and others have another distance.
  far = {name: row['frechet'] for name, row in rows.items()}
  assert far['jax_bundle'] == pytest.approx(far['onnx_float32'], rel=1e-3)
  assert far['onnx_large'] != pytest.approx(far['onnx_float32'], rel=1e-3)
  # Rounded to 8 bits, and seen to be.
  assert 1e-4 < rows['onnx_int8']['difference'] < 1.0
  assert summary['quantized']['leaves'] == ['project/kernel']
  assert summary['versions'].keys() >= {'onnx', 'onnxruntime'}
  assert rows['onnx_int2_run']['bytes'] < rows['onnx_float32']['bytes']
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert len(kept) == 5
  assert trials.complete(main.EXPERIMENT, config, str(tmp_path)) == first
  assert kept == {p: p.stat().st_mtime_ns for p in kept}


@pytest.mark.slow
@needs_affinity
def test_a_process_that_fails_says_why(tmp_path):
  np.save(tmp_path / runtimes.LATENTS, np.zeros((2, 8), np.float32))
  (tmp_path / 'float32.onnx').write_bytes(b'no program')
  with pytest.raises(
    RuntimeError, match='onnx_float32 failed: .*InvalidProtobuf'
  ):
    runtimes.Process('onnx_float32', tmp_path, runtimes.core(-1))
  with runtimes.Process('numpy', tmp_path, runtimes.core(-1)) as process:
    assert process.peak_mib > 1.0
    with pytest.raises(RuntimeError, match='numpy failed: .*KeyError'):
      process.ask(batch=1)
