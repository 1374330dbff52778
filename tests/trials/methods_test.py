"""The one table of methods: what each needs, and what it hands to training."""

import collections
import types

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.methods import runner
from coalesce_jax.models import bundle
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import recipes
from coalesce_jax.training import loop
from coalesce_jax.trials import budget
from coalesce_jax.trials import methods
from coalesce_jax.trials import recipes as trial_recipes
from coalesce_jax.trials import starts
from tests import small


def stacked(one, count=1):
  """A generator of so many equal replicas."""
  return one._replace(
    params=trees.stack([one.params] * count),
    critic=trees.stack([one.critic] * count),
  )


def given(**changes):
  """What a method is given, with one node twice, and as every start."""
  settings = config_lib.override(
    defaults.get_config(), {'ternary.leaves': ('.*kernel',)}
  )
  made = budget.Budget(steps=20, chunk=10, look_every=10, generator_batches=4)
  one = stacked(
    small.drawn(small.IMAGES)._replace(
      critic=small.generator(spec=small.IMAGES).critic
    )
  )
  run = recipes.Run(
    key=jax.random.split(jax.random.key(0), 1),
    problem=types.SimpleNamespace(target=np.asarray(small.images(8))),
    local=small.images(8)[None],
    config=made.fine_tuning(settings, np.ones((1, 2))),
    settings=settings,
    nodes=[one, one],
    starts=collections.defaultdict(lambda: one),
    values=np.array([0.5]),
    distance=np.array([1.0]),
    hooks=lambda name: loop.Hooks(),
  )
  return run._replace(**changes)


def test_every_method_comes_after_those_that_it_goes_on_from():
  seen = []
  for name, method in methods.TABLE.items():
    assert set(method.after) <= set(seen), name
    assert set(method.starts) <= set(starts.TABLE) - {'nodes'}, name
    seen.append(name)
  assert methods.leads_on('ours') and not methods.leads_on('ours_ball')
  labels = [method.label for method in methods.TABLE.values()]
  assert len(set(labels)) == len(labels)


def test_the_numbers_of_shared_starts_are_those_of_trials_made_before():
  """Another number is another stream of random numbers in every result."""
  assert {name: stage.number for name, stage in starts.TABLE.items()} == {
    'nodes': 1, 'barycenter': 2, 'barycenter_paper': 3, 'sequential': 4,
    'mixture': 5, 'refined': 6,
  }  # fmt: skip


class Begun(Exception):
  """Training begins."""


@pytest.fixture
def begun(monkeypatch):
  """Stops before anything is trained; calls give what it was to be."""

  def run(key, setup, args, method, **settings):
    raise Begun(method._asdict())

  monkeypatch.setattr(runner, 'run', run)

  def settings_of(name, run):
    with pytest.raises(Begun) as caught:
      methods.TABLE[name].recipe(run)
    return caught.value.args[0]

  return settings_of


@pytest.mark.parametrize(
  'name', [n for n, m in methods.TABLE.items() if m.trains]
)
def test_every_method_takes_steps_of_as_many_batches(name, begun):
  found = begun(name, given())
  assert found['config'].generator_batches == 4
  assert found['schedule'].steps == 20


def test_augmented_methods_have_the_augmentation_of_the_settings(begun):
  assert begun('transfer', given())['config'].augment == ''
  found = begun('transfer_freeze_augment', given())['config']
  assert found.augment == 'translation'
  assert found.freeze == ('conv_0/.*', 'conv_1/.*')


def test_larger_batches_cost_what_the_critics_of_all_nodes_would(begun):
  alone = begun('sequential', given())['config'].batch_size
  assert begun('sequential_larger', given())['config'].batch_size == 3 * alone


def test_a_ball_has_a_radius_where_critics_see_no_distance(monkeypatch):
  seen = []
  monkeypatch.setattr(
    recipes, 'adapt', lambda run, start: seen.append((run.config, start))
  )
  trial_recipes.ball(
    given(
      values=np.array([0.5, 0.5, 0.25]), distance=np.array([2.0, -0.2, 0.0])
    )
  )
  ((config, start),) = seen
  assert (config.game.objective, start) == ('ball', 'refined')
  np.testing.assert_allclose(config.radius, [1.0, 0.005, 0.0025])


def test_a_node_is_made_small_without_training():
  run = given()
  node = methods.TABLE['node'].recipe(run)
  assert node is run.nodes[0]
  ternary = methods.TABLE['node_ternary'].recipe(run)
  kernels = 0
  for name, leaf in trees.flatten(ternary.params).items():
    # A scale a channel: codes times it.
    if name.endswith('kernel'):
      kernels += 1
      channels = np.asarray(leaf).reshape(-1, leaf.shape[-1])
      assert all(len(np.unique(np.abs(c))) <= 2 for c in channels.T)
  assert (
    sorted(ternary.spec.encodings['ternary']['leaves'])
    == sorted(
      name for name in trees.flatten(node.params) if name.endswith('kernel')
    )
    and kernels
  )
  rounded = methods.TABLE['node_8_bits'].recipe(run)
  for name, leaf in trees.flatten(rounded.params).items():
    exact = np.asarray(trees.flatten(node.params)[name])
    step = np.abs(exact).max(tuple(range(1, exact.ndim - 1)), keepdims=True)
    limit = step / 254.0 * 1.001 if name.endswith('kernel') else 0.0
    assert np.all(np.abs(np.asarray(leaf) - exact) <= limit), name
    assert not name.endswith('kernel') or np.any(np.asarray(leaf) != exact)


def test_sizes_are_of_the_form_that_ships():
  settings = given().settings
  one = small.generator(spec=small.IMAGES)
  plain = methods.TABLE['node'].size(one, settings)
  assert plain == bundle.size_bytes(one)
  flat = trees.flatten(one.params)
  kernels = [leaf for name, leaf in flat.items() if name.endswith('kernel')]
  # A weight is a byte instead of four, and a channel has a scale.
  saved = sum(3 * leaf.size - 4 * leaf.shape[-1] for leaf in kernels)
  assert methods.TABLE['node_8_bits'].size(one, settings) == plain - saved
  count = sum(leaf.size for leaf in flat.values())
  assert methods.TABLE['mined'].size(one, settings) == 4 * count
