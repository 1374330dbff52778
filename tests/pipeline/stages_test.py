"""The table of stages: order, inputs, keys, and which of them a run has."""

import types

import jax
import numpy as np
import pytest

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import keys
from coalesce_jax.pipeline import recipes
from coalesce_jax.pipeline import stages
from coalesce_jax.training import loop
from tests import small


def settings(**changes):
  return config_lib.override(defaults.get_config(), changes)


def test_every_stage_comes_after_its_inputs_with_a_key_of_its_own():
  seen, numbers = [], []
  for name, stage in stages.TABLE.items():
    assert stage.name == name and set(stage.inputs) <= set(seen)
    seen.append(name)
    numbers += [] if stage.number is None else [stage.number]
  assert len(set(numbers)) == len(numbers)


def test_the_numbers_are_those_of_runs_made_before():
  """Another number is another stream of random numbers in every result."""
  assert {name: stage.number for name, stage in stages.TABLE.items()} == {
    'pretrain': 1, 'barycenter': 2, 'edge_only': 3, 'transfer': 4,
    'ensemble': 5, 'adapted': 6, 'ternary': 7, 'model_average': None,
    'all_nodes': None, 'ensemble_long': 8,
  }  # fmt: skip


def test_the_long_ensemble_has_records_and_checkpoints_of_its_own():
  """Its stage must not be that of the ensemble, which is another training."""
  node = small.generator(0, small.PIXELS)
  nodes = [
    node._replace(
      params=jax.tree.map(lambda leaf: leaf[None], node.params),
      critic=jax.tree.map(lambda leaf: leaf[None], node.critic),
    )
  ] * 2
  seen = []

  def hooks(part):
    seen.append(part)
    raise loop.Interrupted('seen')

  run = recipes.Run(
    key=jax.random.split(jax.random.key(0), 1), problem=None,
    local=np.zeros((1, 10, 8, 8, 1), np.uint8),
    config=config_lib.adapt(settings()), settings=settings(), nodes=nodes,
    hooks=hooks,
  )  # fmt: skip
  for recipe in (recipes.ensemble, recipes.ensemble_long):
    with pytest.raises(loop.Interrupted):
      recipe(run)
  assert seen == ['ensemble', 'ensemble_long']


def test_keys_fold_the_number_of_the_stage_into_each_seed():
  found = keys.of_stage(3, 2, 7)
  for s, key in enumerate(jax.random.split(jax.random.key(3))):
    assert found[s] == jax.random.fold_in(key, 7)


def test_what_others_start_from_runs_whether_or_not_it_is_asked_for():
  found = [stage.name for stage in stages.selected(settings(methods=()))]
  assert found == ['pretrain', 'barycenter', 'adapted']
  found = stages.selected(settings(methods=('ternary', 'edge_only')))
  assert [stage.name for stage in found] == [
    'pretrain', 'barycenter', 'edge_only', 'adapted', 'ternary',
  ]  # fmt: skip


def test_the_default_methods_are_all_stages_but_pretraining_and_a_control():
  names = set(stages.TABLE) - {'ensemble_long'}
  assert [stage.name for stage in stages.selected(settings())] == [
    name for name in stages.TABLE if name in names
  ]
  names -= {'pretrain'}
  assert set(defaults.get_config().methods) == names


@pytest.mark.parametrize('name', ['magic', 'pretrain', 'node_0'])
def test_only_stages_of_one_generator_are_methods(name):
  with pytest.raises(ValueError, match=f"method '{name}' is not one of"):
    stages.selected(settings(methods=(name,)))


def test_pretraining_saves_one_generator_a_node_and_others_one():
  results = {name: stage.results(3) for name, stage in stages.TABLE.items()}
  assert results.pop('pretrain') == ['node_0', 'node_1', 'node_2']
  assert all(names == [stage] for stage, names in results.items())


def test_a_stage_is_given_its_inputs_its_settings_and_its_key():
  given = []

  def recipe(run):
    given.append(run)
    return 'made'

  config = settings(seed=5, seeds=2)
  stage = stages.Stage(
    'any', recipe, 9, ('first',), lambda config: config.adapt.anchor
  )
  local = np.zeros((2, 8, 8, 8, 1), np.uint8)
  problem = types.SimpleNamespace(local=local)
  done = {'first': ['a start'], 'pretrain': ['a', 'b'], 'later': ['other']}
  assert stage.run(config, problem, done, 'hooks') == ['made']
  (run,) = given
  assert (run.config, run.hooks, run.nodes) == (0.5, 'hooks', ['a', 'b'])
  assert run.starts == {'first': 'a start'} and run.problem is problem
  assert (run.key == keys.of_stage(5, 2, 9)).all()
