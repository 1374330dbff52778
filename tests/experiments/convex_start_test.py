"""Starts by the convex WGAN: settings, tables and a whole run."""

import json

import pytest

from coalesce_jax.trials import trials
from experiments.convex_start import main
from experiments.convex_start import train
from experiments.convex_start.configs import default


@pytest.mark.parametrize(
  'name,value,match',
  [
    ('starts', ('warm',), "'warm' is not one of"),
    ('seeds', 0, 'seeds 0'),
    ('steps', (0,), 'steps'),
  ],
)
def test_wrong_settings_are_one_line(name, value, match):
  config = default.get_config('quick')
  config[name] = value
  with pytest.raises(ValueError, match=match):
    train.validate(config)
  with pytest.raises(ValueError, match='variant'):
    default.get_config('long')


def test_the_table_has_a_row_for_each_start_and_leaves_gaps():
  config = default.get_config('quick')
  config.starts, config.steps = ('new', 'convex'), (4, 8)
  results = {
    'new_4': {'scores': [2.0, 4.0]},
    'convex_8': {'scores': [1.0, 1.0]},
    'game': {'ratio': 20.0, 'objective_gap': 0.01},
  }
  found = train.report(config, results)
  assert '| new | 3.000 ± 1.414 |  |' in found.text
  assert '| convex |  | 1.000 ± 0.000 |' in found.text
  assert '| 20 | 0.01 |' in found.text
  (axis,) = found.figures['steps'].axes
  lines = {
    drawn.get_label(): drawn.lines[0].get_xydata().tolist()
    for drawn in axis.containers
  }
  assert lines == {'new': [[4.0, 3.0]], 'convex': [[8.0, 1.0]]}
  assert found.line == {
    'new, 4': 3.0, 'convex, 8': 1.0, 'game, ratio of times': 20.0,
  }  # fmt: skip


@pytest.mark.slow
def test_it_runs_whole_and_is_not_run_again(tmp_path):
  config = default.get_config('quick')
  found = trials.complete(main.EXPERIMENT, config, tmp_path)
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert len(summary['rows']) == 6
  assert all(len(row['scores']) == 2 for row in summary['rows'].values())
  assert summary['game']['trained_seconds'] > 0.0
  assert trials.complete(main.EXPERIMENT, config, tmp_path) == found
