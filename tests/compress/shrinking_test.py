"""Every way of making a network smaller, whole on a small one."""

import jax
import numpy as np
import pytest

from coalesce_jax.compress import agents
from coalesce_jax.compress import channels
from coalesce_jax.compress import macs
from coalesce_jax.compress import pruning
from coalesce_jax.compress import shrinking
from coalesce_jax.compress import wholes
from coalesce_jax.core import trees
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import problems
from coalesce_jax.models import generator as generator_lib
from tests import agreement
from tests import small

KEY = jax.random.key(0)
SPEC = generator_lib.Spec(
  'dcgan', 3, (8, 8, 1), generator_lib.freeze({'width': 4}), 'mlp',
  generator_lib.freeze({'hidden': (8,)}),
)  # fmt: skip
SHORT = small.schedule(2, 1, fast_compile=True)
CONFIG = shrinking.Config(agents.Config(SHORT, neighbours=2))


def whole(rate=1e-9):
  made = small.generator(1, SPEC)
  images = np.asarray(small.images(20))
  z = jax.random.normal(KEY, (30, 3))
  subject = pruning.Subject(
    SPEC, made.params, SPEC.build_critic(), made.critic, z
  )

  def problem(specs):
    schedule = small.schedule(2, 1, fast_compile=True)
    config = pretraining.Config(
      small.config(learning_rate=rate, critic_steps=1), schedule
    )
    return pretraining.problem(images, specs[0], config)

  return shrinking.Whole(
    (subject,), (made.critic,), problem, lambda x: x.reshape(len(x), -1)
  )


@pytest.mark.parametrize(
  'method',
  [
    'magnitude',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in shrinking.METHODS
      if name != 'magnitude'
    ),
  ],
)
def test_a_network_shrinks_to_its_budget(method):
  given, how = whole(), shrinking.METHODS[method]
  made = shrinking.shrink(KEY, given, 0.4, method=method, config=CONFIG)
  (spec,), (params,), (masks,) = made.specs, made.params, made.masks
  assert macs.total(spec) / macs.total(SPEC) == pytest.approx(0.4, rel=0.2)
  leaves = trees.flatten(params)
  assert {name: leaf.shape for name, leaf in leaves.items()} == channels.shapes(
    spec
  )
  # It stands still, so that it is what was kept, or a new network.
  before = trees.flatten(given.subjects[0].params)['out/kernel']
  kept = before[:, :, np.flatnonzero(masks['up_1'])]
  same = np.allclose(leaves['out/kernel'], kept, atol=1e-6)
  assert same != how.new
  # Critics go on, but those of new networks.
  old = trees.flatten(given.critics[0])
  after = trees.flatten(made.critics[0])
  assert {k: np.shape(v) for k, v in after.items()} == {
    k: np.shape(v) for k, v in old.items()
  }
  went_on = all(np.allclose(after[k], old[k], atol=1e-6) for k in old)
  assert went_on != how.new
  stages = {'slimming': {'scales'}, 'density': {'agents'}}
  assert set(made.histories) == {'recovery', *stages.get(how.channels, set())}
  recovery = made.histories['recovery']
  assert len(recovery['w1']) == 2
  assert ('term/maps' in recovery) == how.distilled
  assert ('term/distillation' in recovery) == how.distilled
  assert ('term/density' in recovery) == how.local


@pytest.mark.slow
def test_smaller_networks_train_on_no_input_that_is_held_out(monkeypatch):
  given = whole()
  (subject,) = given.subjects
  other = jax.random.normal(jax.random.key(7), (20, 3))
  given = given._replace(subjects=(subject._replace(trained=other),))
  seen = []
  real = pruning.pools

  def pools(subjects, features, k):
    seen.append(np.asarray(subjects[0].inputs))
    return real(subjects, features, k)

  monkeypatch.setattr(pruning, 'pools', pools)
  shrinking.shrink(KEY, given, 0.4, method='density', config=CONFIG)
  np.testing.assert_array_equal(seen[0], subject.inputs)
  np.testing.assert_array_equal(seen[1], other)


@pytest.mark.slow
@pytest.mark.parametrize('first', [False, True])
def test_the_large_network_can_train_on_before_channels_are_chosen(first):
  still, moving = whole(), whole(rate=0.01)
  given = still._replace(
    problem=lambda specs: (moving if specs[0] == SPEC else still).problem(specs)
  )
  config = CONFIG._replace(train_first=first)
  made = shrinking.shrink(KEY, given, 0.4, method='uniform', config=config)
  before = trees.flatten(given.subjects[0].params)['out/kernel']
  kept = before[:, :, np.flatnonzero(made.masks[0]['up_1'])]
  after = trees.flatten(made.params[0])['out/kernel']
  assert np.allclose(after, kept, atol=1e-6) != first
  assert ('first' in made.histories) == first


@pytest.mark.slow
def test_what_trained_on_is_what_agents_see_and_smaller_ones_imitate(
  monkeypatch,
):
  seen = []
  real = pruning.pools

  def pools(subjects, features, k):
    seen.append(subjects[0])
    return real(subjects, features, k)

  monkeypatch.setattr(pruning, 'pools', pools)
  config = CONFIG._replace(train_first=True)
  given = whole(rate=0.01)
  shrinking.shrink(KEY, given, 0.4, method='density', config=config)
  for name in ('params', 'critic_params'):
    old, new = (
      trees.flatten(getattr(subject, name))
      for subject in (given.subjects[0], seen[0])
    )
    assert any(not np.allclose(old[k], new[k], atol=1e-4) for k in old)


def test_the_penalty_is_the_mean_absolute_scale():
  given = whole()
  problem = wholes.penalised(given.problem([SPEC]), 3.0)
  (term,) = problem.method.terms
  ready = problem.setup(KEY, problem.hyper, *problem.args)
  leaves = trees.flatten(ready.generator)
  named = [name for name in leaves if name.endswith('/scale')]
  assert len(named) > 1
  # Two thirds of the values are -1, whatever the sizes of layers.
  for name in named:
    leaves[name] = np.where(np.arange(leaves[name].size) % 3, -1.0, 2.0)
  signed = np.concatenate([leaves[name] for name in named])
  found = term.loss(trees.unflatten(leaves), None, ready.terms['scales'])
  np.testing.assert_allclose(found, 3.0 * np.abs(signed).mean(), rtol=1e-5)


def test_a_share_below_one_channel_is_refused_before_any_training(monkeypatch):
  def train(*args):
    raise AssertionError('trained')

  monkeypatch.setattr(problems, 'train', train)
  with pytest.raises(ValueError, match='one channel of each map'):
    shrinking.shrink(KEY, whole(), 0.001, method='slimming')


def test_an_unknown_method_is_refused():
  with pytest.raises(ValueError, match="method 'smaller' is not one of"):
    shrinking.shrink(KEY, whole(), 0.4, method='smaller')


@pytest.mark.slow
@pytest.mark.parametrize('method', ['narrow_distilled', 'uniform'])
def test_networks_of_several_seeds_shrink_as_each_alone(method):
  one = whole(rate=1e-2)
  (subject,), keys = one.subjects, jax.random.split(KEY, 2)
  params = [
    jax.tree.map(lambda leaf, s=s: leaf * (1.0 - 0.3 * s), subject.params)
    for s in range(2)
  ]
  critics = [
    jax.tree.map(lambda leaf, s=s: leaf * (1.0 - 0.3 * s), one.critics[0])
    for s in range(2)
  ]

  def made(key, params, critic):
    given = one._replace(
      subjects=(subject._replace(params=params),), critics=(critic,)
    )
    return shrinking.shrink(key, given, 0.4, method=method, config=CONFIG)

  both = made(keys, trees.stack(params), trees.stack(critics))
  for s in range(2):
    alone, member = made(keys[s], params[s], critics[s]), both.member(s)
    assert member.specs == alone.specs
    for field in ('params', 'critics'):
      agreement.close(getattr(member, field), getattr(alone, field), atol=1e-5)
    np.testing.assert_allclose(
      member.histories['recovery']['w1'], alone.histories['recovery']['w1'],
      rtol=1e-3, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize('method', ['magnitude', 'density', 'gcc'])
def test_methods_that_keep_other_shapes_take_one_key(method):
  with pytest.raises(ValueError, match='give it one key'):
    shrinking.shrink(jax.random.split(KEY, 2), whole(), 0.4, method=method)
