"""The configurations of the pipeline, and their comparison over seeds."""

import importlib
import json
import pathlib

import numpy as np
import pytest

from coalesce_jax.core import files
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import run as run_lib
from coalesce_jax.pipeline import stages
from experiments.coalesce import seeds

SHAPES = {
  'digits': (8, 8, 1),
  'mnist': (28, 28, 1),
  'fashion_mnist': (28, 28, 1),
  'cifar10': (32, 32, 3),
}


@pytest.mark.parametrize('name', SHAPES)
@pytest.mark.parametrize('variant', ['', 'quick'])
def test_every_configuration_is_valid(name, variant):
  module = importlib.import_module(f'experiments.coalesce.configs.{name}')
  config = module.get_config(variant)
  config_lib.validate(config)
  left_out = {'ensemble_long'}
  if variant:
    left_out |= {'edge_only', 'ensemble', 'model_average'}
  every = [s for s in stages.TABLE.values() if s.name not in left_out]
  assert stages.selected(config) == every
  assert config_lib.spec(config, SHAPES[name]).image_shape == SHAPES[name]
  with pytest.raises(ValueError, match="variant 'slow'"):
    module.get_config('slow')


def test_pairs_are_compared_seed_by_seed():
  scores = {
    'ensemble': [4.0, 5.0, 9.0],
    'barycenter': [3.0, 5.0, 6.0],
    'all_nodes': [1.0, 1.0, 1.0],
  }
  # Gaps are -1, 0 and -3; a tie is no win.
  (row,) = seeds.compare(scores)
  assert (row['ours'], row['baseline']) == ('barycenter', 'ensemble')
  assert row['wins'] == 2
  assert row['mean'] == pytest.approx(-4 / 3)
  assert row['deviation'] == pytest.approx((7 / 3) ** 0.5)


def call(monkeypatch, *flags):
  # Overrides of a configuration are read from the process's arguments.
  monkeypatch.setattr('sys.argv', ['seeds', *flags])
  return seeds.main(flags)


def test_command_writes_a_table_of_the_scores(capsys, tmp_path, monkeypatch):
  """A run leaves `scores.json`; here it is written without training."""
  scores = {
    'edge_only': [20.0, 30.0],
    'adapted': [14.25, 31.25],
    'node_0': [1.0, 1.0],
  }

  def run(config, workdir, stop):
    assert (config.seeds, config.seed) == (2, 5)
    files.write_json(
      tmp_path / 'scores.json',
      {name: {'frechet': values} for name, values in scores.items()},
    )
    return {
      'workdir': workdir, 'report': 'a', 'seeds': 2, 'frechet_std': {},
      'frechet': {'real': 6.5},
    }  # fmt: skip

  monkeypatch.setattr(run_lib, 'run', run)
  flags = ['--config=experiments/coalesce/configs/digits.py']
  flags += [f'--workdir={tmp_path}', '--seeds=2', '--config.seed=5']
  assert call(monkeypatch, *flags) == 0
  captured = capsys.readouterr()
  result = json.loads(captured.out)
  table = pathlib.Path(result['table']).read_text()
  assert table in captured.err
  # Deviations: 5 sqrt(2), 8.5 sqrt(2), 3.5 sqrt(2).
  assert (
    table
    == """\
| method | Frechet | seed 5 | seed 6 |
|---|---:|---:|---:|
| edge_only | 25.0 ± 7.1 | 20.0 | 30.0 |
| adapted | 22.8 ± 12.0 | 14.2 | 31.2 |
| real | 6.5 | | |

| ours | baseline | ahead, of 2 seeds | ours less baseline |
|---|---|---:|---:|
| adapted | edge_only | 1 | -2.2 ± 4.9 |
"""
  )
  assert result['frechet'] == {'real': 6.5}
  assert [pair['wins'] for pair in result['pairs']] == [1]


@pytest.mark.slow
def test_command_runs_the_pipeline_with_all_seeds(
  capsys, tmp_path, monkeypatch
):
  path = tmp_path / 'config.py'
  path.write_text(
    'from coalesce_jax.pipeline import defaults\n'
    'def get_config():\n'
    '  config = defaults.get_config()\n'
    "  config.network.name = config.network.critic = 'mlp'\n"
    "  config.network.options = {'hidden': (4,), 'output': 'tanh'}\n"
    "  config.methods = ('edge_only',)\n"
    '  config.adapt.observe_every = 0\n'
    '  config.evaluate.samples = config.evaluate.curve_samples = 40\n'
    "  for stage in ('pretrain', 'barycenter', 'adapt'):\n"
    '    config[stage].steps = config[stage].chunk = 1\n'
    '  return config\n'
  )
  flags = [f'--config={path}', f'--workdir={tmp_path}', '--seeds=2']
  assert call(monkeypatch, *flags) == 0
  result = json.loads(capsys.readouterr().out)
  found = json.loads((tmp_path / 'scores.json').read_text())
  gap = np.subtract(*(found[k]['frechet'] for k in ('adapted', 'edge_only')))
  (pair,) = [p for p in result['pairs'] if p['ours'] == 'adapted']
  assert len(gap) == 2 and pair['mean'] == pytest.approx(gap.mean())


def test_command_refuses_what_it_cannot_compare(capsys, tmp_path, monkeypatch):
  flags = [
    '--config=experiments/coalesce/configs/digits.py',
    f'--workdir={tmp_path / "run"}',
  ]
  assert call(monkeypatch, *flags, "--config.methods=('all_nodes',)") == 2
  assert 'no baseline' in capsys.readouterr().err
  assert call(monkeypatch, *flags, '--seeds=1') == 2
  assert '--seeds' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())
