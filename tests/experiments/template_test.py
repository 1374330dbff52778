"""The experiment to copy, run whole on a small setting."""

import json

import numpy as np
from PIL import Image
import pytest

from coalesce_jax.trials import trials
from experiments.template import main
from experiments.template import train
from experiments.template.configs import default
from tests import small


def quick():
  config = default.get_config('quick')
  small.pipeline(config.shared)
  config.anchors = (0.5,)
  config.budget.update(steps=8, chunk=4, look_every=4)
  return config


def test_it_runs_whole_and_is_not_run_again(tmp_path):
  found = trials.complete(main.EXPERIMENT, quick(), tmp_path)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  rows = {(row['method'], row['anchor']): row for row in summary['rows']}
  assert set(rows) == {
    ('barycenter', None), ('transfer', None), ('ours_midpoint', 0.5),
  }  # fmt: skip
  for row in rows.values():
    assert len(row['frechet']) == 2 and np.all(np.isfinite(row['frechet']))
  # Those that learn leave the metamodel and the node that they start from.
  assert len({tuple(row['frechet']) for row in rows.values()}) == 3
  assert found['midpoint as it is'] == pytest.approx(
    np.mean(rows['barycenter', None]['frechet']), abs=0.01
  )
  text = (tmp_path / 'tables.md').read_text()
  assert '| midpoint, anchor | 0.5 |' in text and '±' in text
  with Image.open(tmp_path / 'anchors.png') as image:
    assert image.width > 400
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert trials.complete(main.EXPERIMENT, quick(), tmp_path) == found
  assert kept == {p: p.stat().st_mtime_ns for p in kept} and len(kept) == 5


def test_trials_are_listed_in_the_order_in_which_they_build_on_others():
  assert train.stages(default.get_config()) == [
    [['start-nodes']],
    [['start-barycenter']],
    [['test-transfer'], ['test-barycenter'], ['test-ours_midpoint']],
  ]


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('methods', ('magic',), "'magic' is not one of"),
    ('methods', ('ours_ball',), 'goes after'),
    ('budget.steps', 7, 'do not divide'),
    ('shared.local_samples', 7, 'below 8'),
  ],
)
def test_bad_settings_are_refused_before_anything_is_done(field, value, match):
  config = default.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(ValueError, match=match):
    train.validate(config)
