"""The whole pipeline, small: results, report, resumption to the same bits."""

import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from coalesce_jax.models import bundle as bundles_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import run
from coalesce_jax.training import loop
from tests import small

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tiny(**changes):
  """A run of few methods, steps and channels: what compiles is little."""
  made = defaults.get_config()
  small.pipeline(made)
  made.methods = (
    'transfer', 'model_average', 'all_nodes', 'adapted', 'ternary',
  )  # fmt: skip
  for name, value in changes.items():
    setattr(made, name, value)
  return made


def bundles(workdir):
  return {
    p.name: p.read_bytes() for p in sorted((workdir / 'bundles').iterdir())
  }


@pytest.fixture(scope='module', name='finished')
def _finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run')
  return workdir, run.run(tiny(), str(workdir))


def test_the_summary_holds_scores_sizes_and_the_report(finished):
  workdir, summary = finished
  assert list(summary['frechet']) == [
    'node_0', 'node_1', 'barycenter', 'transfer', 'model_average', 'all_nodes',
    'adapted', 'ternary', 'real',
  ]  # fmt: skip
  assert all(value > 0.0 for value in summary['frechet'].values())
  assert summary['bytes']['ternary'] < summary['bytes']['float']
  assert json.loads((workdir / 'summary.json').read_text()) == summary
  page = pathlib.Path(summary['report']).read_text()
  # A grid for each method and two of real images; 2 figures, and stages.
  assert page.count('data:image/png;base64,') >= 10 + 2
  assert '<p class="verdict">The edge method is ' in page
  assert 'src="http' not in page and 'href="http' not in page
  text = (workdir / 'report.md').read_text()
  assert '| adapted |' in text and '±' in text
  for figure in ('samples', 'adaptation', 'distances'):
    assert (workdir / 'figures' / f'{figure}.png').stat().st_size > 5000
  assert len(bundles(workdir)) == 2 * 8
  assert not list((workdir / 'checkpoints').iterdir())


def test_bundles_are_of_the_stage_and_the_classes_that_they_name(finished):
  workdir, _ = finished

  def load(name, seed):
    return bundles_lib.load(workdir / 'bundles' / f'{name}_s{seed}.safetensors')

  for seed in range(2):
    nodes = [load(f'node_{k}', seed) for k in range(2)]
    classes = [node.spec.provenance['classes'] for node in nodes]
    assert classes == ['0,1,2,3,4', '5,6,7,8,9']
    mean = load('model_average', seed)
    assert mean.spec.provenance == {
      'dataset': 'digits', 'classes': '0,1,2,3,4,5,6,7,8,9',
      'stage': 'model_average', 'seed': '0', 'member': str(seed),
    }  # fmt: skip
    for leaf, a, b in zip(
      jax.tree.leaves(mean.params),
      *(jax.tree.leaves(node.params) for node in nodes),
      strict=True,
    ):
      np.testing.assert_allclose(leaf, (a + b) / 2.0, rtol=1e-5, atol=1e-7)
    kept = load('all_nodes', seed)
    assert kept.spec.network == 'mixture'
    for leaf, a in zip(
      jax.tree.leaves(kept.params['nodes']),
      jax.tree.leaves(nodes[0].params),
      strict=True,
    ):
      np.testing.assert_array_equal(leaf[0], a)


@pytest.mark.slow
def test_a_finished_run_is_only_reported_again(finished):
  workdir, summary = finished
  before = bundles(workdir)
  again = run.run(tiny(), str(workdir))
  assert again['frechet'] == summary['frechet']
  # How long the training took is not how long the report takes.
  assert again['seconds'] == summary['seconds']
  assert bundles(workdir) == before


@pytest.fixture(name='copied')
def _copied(finished, tmp_path):
  """A copy of the finished run, to be damaged."""
  return pathlib.Path(shutil.copytree(finished[0], tmp_path / 'copy'))


@pytest.mark.slow
def test_damaged_bundles_and_scores_are_made_again(finished, copied):
  file = copied / 'bundles' / 'model_average_s1.safetensors'
  data = bytearray(file.read_bytes())
  data[-1] ^= 1
  file.write_bytes(data)
  file = copied / 'scores.json'
  rows = json.loads(file.read_text())
  rows['adapted'] = None
  rows['ternary']['frechet'] = ['x', 1.0]
  rows['transfer']['kid'] = [1.0]
  del rows['all_nodes']['real']
  file.write_text(json.dumps(rows))
  again = run.run(tiny(), str(copied))
  assert bundles(copied) == bundles(finished[0])
  assert again['frechet'] == finished[1]['frechet']
  kept = (finished[0] / 'scores.json').read_text()
  assert json.loads(file.read_text()) == json.loads(kept)
  file.write_text('[]')
  assert run.run(tiny(), str(copied))['frechet'] == finished[1]['frechet']


@pytest.mark.slow
def test_a_run_stopped_again_and_again_ends_in_the_same_bytes(
  finished, tmp_path
):
  calls, stops = itertools.count(), 0
  while True:
    try:
      # Every second look at the flag says stop: in the middle of each stage.
      run.run(tiny(), str(tmp_path), lambda: next(calls) % 2 == 0)
      break
    except loop.Interrupted:
      stops += 1
  assert stops >= 4
  assert bundles(tmp_path) == bundles(finished[0])
  rows = [
    json.loads(line)
    for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()
  ]
  steps = [r['step'] for r in rows if r['stage'] == 'adapted']
  assert steps == [4, 8]
  curve = [r['step'] for r in rows if r['stage'] == 'adapted/curve']
  assert curve == [0, 4, 8]


def test_other_settings_in_the_same_folder_are_refused(finished):
  with pytest.raises(ValueError, match='other settings'):
    run.run(tiny(local_samples=50), str(finished[0]))


@pytest.mark.slow
def test_a_whole_run_takes_a_critic_without_a_penalty(tmp_path):
  made = tiny(seeds=1, methods=())
  made.network.critic, made.game.penalty = 'cones', 'none'
  made.network.critic_options.cones.count = 16
  made.game.critic_learning_rate = 0.02
  summary = run.run(made, str(tmp_path))
  assert set(summary['frechet']) >= {'node_0', 'node_1', 'barycenter'}
  member = bundles_lib.load(tmp_path / 'bundles' / 'node_0_s0.safetensors')
  assert member.spec.critic == 'cones'
  centers = member.critic['centers']
  assert centers.shape == (16, 64)


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('local_samples', 7, 'below 8'),
    ('methods', ('magic',), 'magic'),
    ('dataset', 'nope', 'nope'),
  ],
)
def test_bad_settings_leave_nothing_behind(tmp_path, field, value, match):
  workdir = tmp_path / 'run'
  with pytest.raises(ValueError, match=match):
    run.run(tiny(**{field: value}), str(workdir))
  assert not workdir.exists()


def command(workdir):
  return [
    sys.executable, '-m', 'experiments.coalesce.main',
    '--config=experiments/coalesce/configs/digits.py:quick',
    f'--workdir={workdir}', '--config.save_seconds=0.0',
    '--config.network.width=4', '--config.network.critic_width=4',
  ]  # fmt: skip


def started(workdir):
  return subprocess.Popen(
    command(workdir), cwd=ROOT, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, text=True,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
  )  # fmt: skip


@pytest.mark.slow
def test_a_run_killed_at_three_stages_ends_in_the_same_bytes(tmp_path):
  whole = started(tmp_path / 'whole')
  out, err = whole.communicate(timeout=600)
  assert whole.returncode == 0, err
  assert len(out.strip().splitlines()) == 1
  for stage in ('pretrain', 'adapted', 'ternary'):
    process = started(tmp_path / 'killed')
    folder = tmp_path / 'killed' / 'checkpoints' / stage
    deadline = time.monotonic() + 300
    while not list(folder.glob('*/manifest.json')):
      assert process.poll() is None and time.monotonic() < deadline
      time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
  process = started(tmp_path / 'killed')
  _, err = process.communicate(timeout=600)
  assert process.returncode == 0, err
  assert bundles(tmp_path / 'killed') == bundles(tmp_path / 'whole')


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
  process = started(tmp_path)
  while not (tmp_path / 'metrics.jsonl').is_file():
    assert process.poll() is None
    time.sleep(0.05)
  process.terminate()
  out, err = process.communicate(timeout=300)
  assert process.returncode == 1 and not out
  assert 'same --workdir goes on' in err.strip().splitlines()[-1]
  assert list((tmp_path / 'checkpoints').glob('*/*/manifest.json'))
