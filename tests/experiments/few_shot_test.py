"""The few-shot experiment: its plan, its settings, who counts as better."""

import json

import numpy as np
import pytest

from coalesce_jax.trials import methods
from coalesce_jax.trials import trials
from experiments.few_shot import main
from experiments.few_shot import plots
from experiments.few_shot import tables
from experiments.few_shot import train
from experiments.few_shot.configs import default


def never() -> bool:
  return False


def test_every_trial_comes_after_what_it_starts_from(tmp_path):
  config = default.get_config()
  names = list(train.plan(str(tmp_path), config, never))
  at = {name: i for i, name in enumerate(names)}
  for name in names:
    kind, _, rest = name.partition('-')
    if kind == 'shared':
      continue
    setting = rest.split('-n')[0]
    method = rest.rpartition('-')[2]
    for start in ('nodes', *methods.TABLE[method].starts):
      assert at[f'shared-{setting}-{start}'] < at[name]
    for other in methods.TABLE[method].after:
      assert at[name.removesuffix(method) + other] < at[name]
    if kind == 'test':
      assert at[f'choose-{rest}'] < at[name]
  tested = [n for n in names if n.startswith('test-')]
  assert len(tested) == 3 * 3 * len(config.methods)


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('methods', ('nope',), "'nope'"),
    ('methods', ('ours_ball',), "after \\['ours'\\]"),
    ('samples', (4,), 'samples 4'),
    ('seeds', 0, 'seeds 0'),
    ('settings', (), 'empty'),
    ('tuning.draws', 4, 'draws 4'),
    ('tuning.copied', 1.5, 'copied 1.5'),
    ('settings', ('mnist',), 'DATASET:SPLIT'),
    ('settings', ('mnist:some',), 'some'),
    ('budget.look_every', 30, 'divide'),
    ('budget.look_every', 0, 'look_every 0'),
    ('budget.warmup', 150, 'warmup 150'),
    ('budget.generator_batches', 0, 'generator_batches 0'),
    ('budget.held_out', 1.0, 'held_out 1.0'),
    ('methods', (), 'methods are empty'),
    ('anchors', (1.0,), r'anchors \(1.0,\)'),
    ('radii', (0.0,), r'radii \(0.0,\)'),
    ('shares', (), 'shares'),
    ('samples', (20, 20), 'there twice'),
    ('settings', ('mnist:0|1->1', 'mnist:0,1->1'), 'there twice'),
    ('tuning.rates', (1.0,), '1 rates and 3 generator_rates'),
    ('tuning.generator_rates', (1.0, 0.0, 1.0), 'rate 0.0 is not positive'),
    ('shared.barycenter.steps', 0, 'steps 0'),
  ],
)
def test_bad_settings_are_refused_before_anything_is_done(field, value, match):
  config = default.get_config()
  part, _, name = field.rpartition('.')
  where = config
  for step in filter(None, part.split('.')):
    where = where[step]
  with where.unlocked(), where.ignore_type():
    where[name] = value
  with pytest.raises(ValueError, match=match):
    train.validate(config)


@pytest.mark.slow
def test_the_whole_grid_runs_on_a_few_steps(tmp_path):
  config = default.get_config('quick')
  config.methods = (
    'transfer', 'mined', 'borrowed', 'nodes', 'ours', 'ours_ball', 'ours_free',
    'ternary', 'ensemble', 'model_average',
  )  # fmt: skip
  rows = trials.complete(main.EXPERIMENT, config, str(tmp_path))['rows']
  assert sorted(r['method'] for r in rows) == sorted(config.methods)
  assert np.isfinite([r['scores']['frechet'] for r in rows]).all()


def row(method, frechet, *, setting='a:b', samples=20, value=0.0, **more):
  frechet = np.asarray(frechet, float).tolist()
  made = methods.TABLE[method]
  curve = more.get('curve', {'0': [90.0], '50': [60.0], '100': frechet})
  return {
    'setting': setting, 'samples': samples, 'method': method,
    'label': made.label, 'ours': made.ours, 'value': value,
    'variant': value if made.variants else None, 'chosen': True,
    'rate': 0.3, 'generator_rate': 3.0, 'step': 100, 'step_ms': 7.0,
    'scores': {
      'frechet': frechet, 'coverage': [0.5] * len(frechet),
      'copied': [0.1] * len(frechet), 'held_out': frechet,
    },
    'curve': curve, 'copies': {step: [0.01] for step in curve},
  } | more  # fmt: skip


def test_ours_is_named_by_the_tuning_and_meets_the_best_baseline():
  tuned = {
    ('transfer', 0.0): 9.0, ('full', 0.0): 1.0, ('ours', 0.75): 50.0,
    ('ours', 0.25): 31.0, ('ours_free', 0.0): 32.0,
  }  # fmt: skip
  summary = {
    'methods': ['transfer', 'edge_only', 'full', 'ours', 'ours_free'],
    'choices': [
      {
        'setting': 'a:b',
        'samples': 20,
        'method': m,
        'value': v,
        'frechet': f,
        'allowed': True,
      }
      for (m, v), f in tuned.items()
    ],
    'rows': [
      row('transfer', [40.0, 44.0]),
      row('edge_only', [80.0, 82.0]),
      # Neither counts: nobody has all images, and the tuning preferred others.
      row('full', [1.0, 1.0]),
      row('ours', [10.0, 10.0], value=0.75, chosen=False),
      row('ours', [30.0, 34.0], value=0.25, curve={'0': [41.0], '50': [35.0]}),
      row('ours_free', [20.0, 24.0]),
    ],
  }
  (found,) = tables.best(summary)
  assert found['ours'] == 'refined, anchor 0.25' and found['frechet'] == 32.0
  assert found['baseline'] == 'transfer'
  assert found['baseline_frechet'] == 42.0
  assert found['deviation'] == pytest.approx(np.sqrt(8.0))
  # 30 less 40 and 34 less 44: alike in both seeds.
  assert found['difference'] == -10.0
  assert found['difference_deviation'] == 0.0
  # The baseline's best score, 42 at step 100, is passed at the start.
  assert found['steps'] == 0 and found['baseline_steps'] == 100
  assert '| 0 of 100 | 7, 7 |' in tables.write(summary)
  summary['rows'][0]['step_ms'] = None
  assert '| 0 of 100 | 7, - |' in tables.write(summary)
  # Nobody is named while a method is not tested yet.
  summary['methods'].append('mined')
  assert tables.best(summary) == []


def test_a_score_that_is_never_reached_has_no_steps():
  rows = [
    row('ours', [30.0], curve={'0': [50.0], '50': [45.0]}),
    row('transfer', [40.0], curve={'0': [90.0], '50': [44.0]}),
  ]
  assert tables.steps(*rows) == {'steps': None, 'baseline_steps': 50}
  choice = {
    'setting': 'a:b', 'samples': 20, 'method': 'ours', 'value': 0.0,
    'frechet': 30.0, 'allowed': True,
  }  # fmt: skip
  text = tables.write(
    {'rows': rows, 'choices': [choice], 'methods': ['ours', 'transfer']}
  )
  assert '| not reached of 50 |' in text
  # Steps at which samples are copies do not count for either.
  copied = {'copies': {'0': [0.01], '50': [0.2]}}
  copying = [
    row(r['method'], r['scores']['frechet'], curve=r['curve'], **copied)
    for r in rows
  ]
  assert tables.steps(*copying) == {'steps': 0, 'baseline_steps': 0}


def test_held_out_samples_choose_a_variant_for_every_seed():
  rows = [
    row('ours', [30.0, 60.0], value=0.25),
    row('ours', [50.0, 20.0], value=0.75),
  ]
  # Not those of the best score.
  rows[0]['scores']['held_out'] = [3.0, 1.0]
  rows[1]['scores']['held_out'] = [2.0, 4.0]
  found = tables.held_out(rows, 'ours')
  assert found['scores']['frechet'] == [50.0, 60.0] and found['step'] is None
  assert tables.held_out(rows[:1], 'ours') is None


def test_a_method_that_takes_no_steps_is_scored_before_the_test_too():
  *_, tasks = train.stages(default.get_config())
  for task in tasks:
    tests = [name for name in task if name.startswith('test-')]
    for name in tests:
      choice = name.replace('test-', 'choose-', 1)
      assert task.index(choice) < task.index(name)
    assert len(task) == 2 * len(tests)
  summary = {
    'methods': ['nodes_refined', 'ours', 'mined'],
    'rows': [
      row('nodes_refined', [20.0, 22.0], label='kept'),
      row('ours', [30.0, 34.0]),
      row('mined', [26.0, 28.0]),
    ],
    'choices': [
      {'setting': 'a:b', 'samples': 20, 'method': method, 'value': 0.0,
       'frechet': frechet, 'allowed': True}
      for method, frechet in (('nodes_refined', 21.0), ('ours', 31.0))
    ],
  }  # fmt: skip
  assert tables.best(summary)[0]['ours'] == 'kept'


def test_every_trial_is_in_one_task_after_what_it_needs(tmp_path):
  config = default.get_config()
  nodes, starts, tasks = train.stages(config)
  assert len(nodes) == 3 and len(starts) == 9
  listed = [
    name for stage in (nodes, starts, tasks) for t in stage for name in t
  ]
  planned = train.plan(str(tmp_path), config, lambda: False)
  assert sorted(listed) == sorted(planned)
  for name, method in methods.TABLE.items():
    for other in method.after:
      holding = [t for t in tasks if any(x.endswith(f'-{name}') for x in t)]
      assert len(holding) == (3 if name in config.methods else 0)
      for task in holding:
        for trial in (t for t in task if t.endswith(f'-{name}')):
          before = trial.replace(f'-{name}', f'-{other}')
          assert task.index(before) < task.index(trial)


def test_the_longest_tasks_begin_first():
  config = default.get_config()
  *_, tasks = train.stages(config)
  variants = {
    name: len(config[method.variants]) if method.variants else 1
    for name, method in methods.TABLE.items()
  }
  lengths = [
    sum(variants[trial.rpartition('-')[2]] for trial in task) for task in tasks
  ]
  assert lengths == sorted(lengths, reverse=True)
  # Chosen and tested with three numbers of samples: 'ours' and 'ours_ball',
  # of three variants each, and next the ensemble.
  settings = len(config.settings)
  assert lengths[0] == 2 * 3 * 6
  assert set(lengths[settings:]) == {2 * 3 * n for n in (1, 2, 3)}


def test_tables_and_figures_have_every_row():
  summary = {
    'rows': [
      row(method, [30.0, 34.0], samples=samples, setting=setting)
      for setting in ('a:b', 'c:d')
      for samples in (20, 100)
      for method in ('transfer', 'ours', 'barycenter')
    ],
    'methods': ['transfer', 'ours', 'barycenter'],
  }
  summary['choices'] = [
    {**r, 'frechet': 9.0, 'allowed': True}
    for r in summary['rows']
    if r['method'] == 'ours'
  ]
  text = tables.write(summary)
  # Four tables, and a row in the overview of each setting.
  assert text.count('\n| transfer |') == 4 + 2
  assert '| transfer | 32.0 ± 2.8 | 32.0 ± 2.8 |' in text
  assert '| a:b | 20 | refined, anchor' in text
  assert set(plots.figures(summary)) == {'samples', 'steps'}
  # Choices without a test yet.
  assert plots.figures(summary | {'rows': []}) == {}


def test_a_figure_names_every_method_and_leaves_out_what_is_not_there():
  summary = {
    'rows': [
      row('transfer', [30.0], setting='a:b', samples=20),
      row('transfer', [30.0], setting='c:d', samples=100),
      row('mined', [30.0], setting='c:d', samples=100),
    ]
  }
  drawn = plots.figures(summary)['steps']
  (legend,) = drawn.legends
  assert [t.get_text() for t in legend.get_texts()] == [
    'transfer', 'MineGAN, generators frozen',
  ]  # fmt: skip
  assert [axis.axison for axis in drawn.axes] == [True, False, False, True]


def test_a_figure_has_room_for_the_names_of_all_methods():
  rows = [
    row(name, [30.0], setting='a:b', samples=20, label=method.label)
    for name, method in methods.TABLE.items()
  ]
  for drawn in plots.figures({'rows': rows}).values():
    (legend,) = drawn.legends
    assert len(legend.get_texts()) == len(rows)
    extent, whole = legend.get_window_extent(), drawn.bbox
    assert extent.y0 >= whole.y0 and extent.y1 <= whole.y1


def test_ours_is_named_among_those_that_do_not_copy():
  def choice(method, frechet, allowed):
    return {
      'setting': 'a:b', 'samples': 20, 'method': method, 'value': 0.0,
      'frechet': frechet, 'allowed': allowed,
    }  # fmt: skip

  rows = [
    row('ours_free', [20.0, 22.0], label='copies'),
    row('ours_together', [30.0, 34.0], label='does not'),
    row('transfer', [40.0, 41.0]),
  ]
  choices = [
    choice('ours_free', 10.0, False),
    choice('ours_together', 30.0, True),
  ]
  summary = {'rows': rows, 'choices': choices}
  summary['methods'] = ['ours_free', 'ours_together', 'transfer']
  (found,) = tables.best(summary)
  assert found['ours'] == 'does not'
  choices[1]['allowed'] = False
  (found,) = tables.best(summary)
  assert found['ours'] == 'copies'


@pytest.mark.parametrize('variant', ['accelerator', 'cifar10'])
def test_choices_and_tests_of_a_full_grid_are_of_one_program(variant):
  config = default.get_config(variant)
  train.validate(config)
  assert len(config.tuning.rates) * config.tuning.draws == config.seeds
  assert len(config.samples) == 5


@pytest.mark.slow
def test_the_whole_grid_runs_and_is_not_run_again(tmp_path):
  config = default.get_config('quick')
  config.methods = (
    'transfer', 'mined', 'nodes_refined', 'barycenter', 'ours', 'ours_ball',
    'ours_free', 'ternary',
  )  # fmt: skip
  first = trials.complete(main.EXPERIMENT, config, str(tmp_path))
  assert first['rows'] == 8
  (found,) = first['best']
  assert np.isfinite(found['frechet'])
  summary = json.loads((tmp_path / 'summary.json').read_text())
  for r in summary['rows']:
    assert len(r['scores']['frechet']) == 2
    # Node models, barycenter: made once, read by all.
    assert set(r['curve']) in ({'0', '10', '20'}, {'0'})
  assert {c['method'] for c in summary['choices']} == set(config.methods)
  assert all(np.isfinite(c['frechet']) for c in summary['choices'])
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert trials.complete(main.EXPERIMENT, config, str(tmp_path)) == first
  assert kept == {p: p.stat().st_mtime_ns for p in kept}
