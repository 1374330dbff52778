"""The ablations: their variants, their plan, what they say of corruption."""

import itertools
import json

import pytest

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.trials import trials
from experiments.ablations import main
from experiments.ablations import seeds
from experiments.ablations import tables
from experiments.ablations import train
from experiments.ablations import variants
from experiments.ablations.configs import default


def never():
  return False


def quick(**changes):
  config = default.get_config('quick')
  with config.unlocked():
    config.update(changes)
  return config


def test_every_variant_has_settings_that_stages_take():
  config = quick()
  for variant in variants.TABLE.values():
    config_lib.validate(train.pipeline(config, variant))
  labels = [(v.group, v.label) for v in variants.TABLE.values()]
  assert len(set(labels)) == len(labels)


def test_stages_have_the_trials_of_the_plan_in_its_order(tmp_path):
  config = quick()
  names = list(train.plan(str(tmp_path), config, never))
  listed = [name for stage in train.stages(config) for task in stage
            for name in task]  # fmt: skip
  assert names == listed and len(set(names)) == len(names)
  firsts = [name.split('-')[0] for name in names]
  assert [k for k, _ in itertools.groupby(firsts)] == ['node', 'play', 'seeds']


def test_nodes_are_shared_by_all_who_name_them():
  clean, bad = ('agreeing_clean_joint_w1', 'agreeing_noise_joint_w1')
  nodes, *_ = train.stages(quick(variants=(clean, bad)))
  names = [name for task in nodes for name in task]
  assert len(names) == len(set(names)) == 6 and 'node-noise' in names
  # The last node has a corrupted copy beside the clean one.
  clean_nodes = [name for name in names if name != 'node-noise']
  assert [name[-1] for name in clean_nodes] == ['0', '1', '2', '3', '4']


def test_unknown_variants_are_refused(tmp_path):
  with pytest.raises(ValueError, match="^variant 'k3'"):
    train.plan(str(tmp_path), quick(variants=('k3',)), never)


def row(label, corrupted, scores, split=variants.AGREEING):
  edge = {'frechet': scores, 'coverage': [0.5], 'memorisation': [1.0]}
  return {
    'name': label, 'group': corrupted or 'clean', 'label': label,
    'kind': 'ours', 'split': split, 'corrupted': corrupted, 'edge': edge,
    'bytes': 2048,
  }  # fmt: skip


def test_what_a_corrupted_node_adds_is_relative_to_its_own_clean_score():
  summary = {
    'rows': [
      row('a', '', [90.0, 110.0]),
      row('b', '', [200.0, 200.0]),
      row('a', 'noise', [105.0, 115.0]),
      row('b', 'noise', [150.0, 150.0]),
      row('a', '', [1.0], variants.TWO),
    ],
    'seeds': None,
  }
  found = tables.corrupted(summary)
  assert found == {
    'a, by noise': pytest.approx(0.1), 'b, by noise': pytest.approx(-0.25),
  }  # fmt: skip
  text = tables.write(summary)
  assert '| a | noise | +10.0 % |' in text and '100.0 ± 14.1' in text
  assert tables.draw(summary).axes


@pytest.mark.slow
def test_seeds_in_one_run_are_single_runs():
  shared = default.get_config('quick').shared
  found = seeds.measure(shared, seeds=3, steps=4, rounds=1)
  assert found['moved'] > 1e-3
  assert found['difference'] < 1e-2 and found['w1_difference'] < 1e-4
  assert found['ratio'] > 0.0


@pytest.mark.slow
def test_some_ablations_run_and_are_not_run_again(tmp_path):
  config = quick(
    variants=(
      'agreeing_clean_mean_of_weights', 'agreeing_noise_mean_of_weights',
      'k2_refined_mixture', 'ternary_scheme_twn', 'few_straight',
    ),
  )  # fmt: skip
  config.together.seeds = 0
  config.shared.barycenter.fixed_samples = 50
  found = trials.complete(main.EXPERIMENT, config, str(tmp_path))
  assert found['rows'] == 5
  assert list(found['corrupted']) == ['mean of weights, by noise']
  summary = json.loads((tmp_path / 'summary.json').read_text())
  *_, ternary, straight = summary['rows']
  assert ternary['bytes'] < summary['rows'][2]['bytes'] / 3
  assert len(ternary['float']['frechet']) == 2
  # As small, without a float generator between.
  assert abs(straight['bytes'] - ternary['bytes']) < 100
  assert 'float' not in straight and 'metamodel' in straight
  assert not list((tmp_path / 'checkpoints').glob('*/*'))
  before = (tmp_path / 'tables.md').read_text()
  assert trials.complete(main.EXPERIMENT, config, str(tmp_path)) == found
  assert (tmp_path / 'tables.md').read_text() == before
