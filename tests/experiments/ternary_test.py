"""Quality against bytes: the plan, equal bytes, what is compared."""

import json

import jax
import numpy as np
import pytest

from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from coalesce_jax.trials import trials
from experiments.ternary import main
from experiments.ternary import stages
from experiments.ternary import tables
from experiments.ternary import train
from experiments.ternary import variants
from experiments.ternary.configs import default


def never():
  return False


def test_stages_have_the_trials_of_the_plan_in_its_order(tmp_path):
  config = default.get_config()
  names = list(train.plan(str(tmp_path), config, never))
  listed = [name for stage in train.stages(config) for task in stage
            for name in task]  # fmt: skip
  assert names == listed and len(set(names)) == len(names)
  assert len(names) == 2 * (1 + len(variants.TABLE) + 4)


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('variants', ('nope',), "'nope'"),
    ('datasets', (), 'empty'),
    ('narrow', (0.0,), 'narrow'),
    ('rates', (0.0,), 'rates'),
    ('look_every', 7, 'no multiple'),
    ('shared.seeds', 0, 'seeds 0'),
    ('shared.ternary.granularity', 'row', "'row'"),
  ],
)
def test_bad_settings_are_refused_before_anything_is_done(field, value, match):
  config = default.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(ValueError, match=match):
    train.validate(config)


@pytest.mark.slow
def test_a_narrow_generator_has_as_many_bytes_and_hardly_more():
  spec = generator.Spec('dcgan', 64, (28, 28, 1), (('width', 16),))
  made = stages.narrowed(spec, 60_000)
  narrower = (('width', dict(made.options)['width'] - 1),)
  sizes = [
    bundle.size_bytes(generator.create(s, s.build().init(jax.random.key(0))))
    for s in (generator.Spec('dcgan', 64, (28, 28, 1), narrower), made)
  ]
  assert sizes[0] < 60_000 <= sizes[1]
  with pytest.raises(ValueError, match='no width up to 16'):
    stages.narrowed(spec, 10_000_000)


def row(name, kind, scores, size, **more):
  return {
    'dataset': 'mnist', 'name': name, 'label': name, 'kind': kind,
    'scores': {'frechet': scores, 'coverage': [0.5] * len(scores)},
    'bytes': size, **more,
  }  # fmt: skip


SUMMARY = {
  'rows': [
    row('float', 'float', [18.0, 22.0], 2000),
    row('paper', 'trained', [60.0, 60.0], 130, bytes_trits=110,
        sparsity={'a': 0.1, 'b': 0.3}, rates={'1': 50.0}),
    row('twn', 'trained', [21.0, 23.0], 140, bytes_trits=120,
        sparsity={'a': 0.5}, rate=0.3,
        rates={'1': 70.0, '0.3': 23.0}, curve=[
          {'step': 0, 'frechet': [30.0, 40.0], 'sparsity/a': 0.4,
           'threshold/a': 0.6},
          {'step': 9, 'frechet': [20.0, 30.0], 'sparsity/a': 0.5,
           'threshold/a': 0.7},
        ]),
    row('narrow_1', 'narrow', [40.0, 48.0], 141, times=1.0, width=2),
  ]
}  # fmt: skip


def test_the_best_trained_row_is_set_beside_what_it_has_to_beat():
  (found,) = tables.best(SUMMARY).values()
  assert found['row'] == 'twn'
  assert found['over_float'] == pytest.approx(1.1)
  assert found['over_narrow'] == pytest.approx(0.5)
  assert found['over_paper'] == pytest.approx(22.0 / 60.0)


def test_tables_and_figures_have_every_row():
  text = tables.write(SUMMARY)
  assert '| twn | 0.3 | 22.0 ± 1.4 | 1.10 | 0.500 | 0.50 | 140 | 120 |' in text
  assert '| narrow_1 |  | 44.0 ± 5.7 | 2.20 | 0.500 |  | 141 |  |' in text
  assert set(tables.figures(SUMMARY)) == {'frontier', 'training'}


@pytest.mark.slow
def test_the_rows_run_and_are_not_run_again(tmp_path):
  # As the command line hands it over.
  config = default.get_config('quick').lock()
  config.variants = (
    'float', 'longer', 'bits8', 'afterwards_twn_layer', 'paper', 'ttq_channel',
    'truncated_gaussian_channel_distilled',
  )  # fmt: skip
  first = trials.complete(main.EXPERIMENT, config, str(tmp_path))
  assert first['rows'] == 9 and set(first['best']) == {'digits'}
  summary = json.loads((tmp_path / 'summary.json').read_text())
  rows = {r['name']: r for r in summary['rows']}
  assert all(np.all(np.isfinite(r['scores']['frechet'])) for r in rows.values())
  # Rounding to 8 bits hardly moves an image; two bits are fewer than eight.
  ratio = tables.mean(rows['bits8']) / tables.mean(rows['float'])
  assert 0.95 < ratio < 1.05
  assert rows['paper']['bytes'] < rows['bits8']['bytes']
  assert rows['bits8']['bytes'] < rows['float']['bytes']
  assert rows['narrow_1']['bytes'] >= rows['ttq_channel']['bytes']
  for name in ('paper', 'ttq_channel'):
    points = rows[name]['curve']
    assert [p['step'] for p in points] == [0, 20, 40]
    tried = rows[name]['rates']
    assert set(tried) == {'0.3', '1'}
    assert tried[f'{rows[name]["rate"]:g}'] == min(tried.values())
    assert {k.split('/')[0] for k in points[0]} >= {
      'frechet', 'sparsity', 'threshold',
    }  # fmt: skip
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert trials.complete(main.EXPERIMENT, config, str(tmp_path)) == first
  assert kept == {p: p.stat().st_mtime_ns for p in kept}
