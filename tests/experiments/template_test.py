"""The experiment to copy, run whole on a small setting."""

import json

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.trials import trials
from experiments.template import main
from experiments.template.configs import default
from tests import small


def quick():
  config = default.get_config('quick')
  small.pipeline(config.shared)
  config.anchors = (0.5,)
  config.budget.update(steps=8, chunk=4, look_every=4)
  return config


@pytest.mark.slow
def test_it_runs_whole_and_is_not_run_again(tmp_path):
  found = trials.complete(main.EXPERIMENT, quick(), tmp_path)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  rows = {(row['method'], row['value']): row for row in summary['rows']}
  assert set(rows) == {
    ('barycenter', None), ('transfer', None), ('ours_midpoint', 0.5),
  }  # fmt: skip
  for row in rows.values():
    assert len(row['frechet']) == 2 and np.all(np.isfinite(row['frechet']))
  # Those that learn leave the metamodel and the node that they start from.
  assert len({tuple(row['frechet']) for row in rows.values()}) == 3
  least = min(np.mean(row['frechet']) for row in rows.values())
  assert found['frechet'] == pytest.approx(least, abs=0.01)
  text = (tmp_path / 'tables.md').read_text()
  assert '| midpoint, anchor | 0.5 |' in text and '±' in text
  with Image.open(tmp_path / 'anchors.png') as image:
    assert image.width > 400
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert trials.complete(main.EXPERIMENT, quick(), tmp_path) == found
  assert kept == {p: p.stat().st_mtime_ns for p in kept} and len(kept) == 5


def test_trials_are_listed_in_the_order_in_which_they_build_on_others():
  assert main.EXPERIMENT.stages(default.get_config()) == [
    [['start-nodes']],
    [['start-barycenter']],
    [['test-transfer'], ['test-barycenter'], ['test-ours_midpoint']],
  ]
