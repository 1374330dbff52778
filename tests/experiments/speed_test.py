"""The speed experiment: what is counted, what is compared, how it is timed."""

import importlib.util

import jax
from jax import extend
from jax.interpreters import partial_eval
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan.adversarial import wgan
from coalesce_jax.training import loop
from coalesce_jax.trials import timing
from experiments.speed import ensembles
from experiments.speed import plots
from experiments.speed import probe
from experiments.speed import programs
from experiments.speed import references
from experiments.speed import rounding
from experiments.speed import shapes
from experiments.speed import steps
from experiments.speed import train
from experiments.speed.configs import default

SMALL = shapes.Network(8, 1, 4, latent_size=8)
GAME = game_lib.Config(batch_size=4, critic_steps=2)


def _products(jaxpr) -> int:
  """Operations of all products in a traced function, nested ones too."""
  total = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name == 'precision_dot':
      summed = equation.invars[0].aval.shape[equation.params['axis_a'] - 2]
      total += 2 * summed * int(np.prod(equation.outvars[0].aval.shape))
    assert equation.primitive.name != 'dot_general'
    for inner in extend.core.jaxprs_in_params(equation.params):
      total += _products(inner)
  return total


def _traced(fn, *args) -> int:
  closed = jax.make_jaxpr(fn)(*args)
  jaxpr, _ = partial_eval.dce_jaxpr(
    closed.jaxpr, [True] * len(closed.jaxpr.outvars)
  )
  return _products(jaxpr)


@pytest.mark.parametrize('network', [SMALL, shapes.Network(32, 3, 4)])
def test_operations_are_those_that_are_traced(network):
  spec = network.spec()
  generator, critic = spec.build(), spec.build_critic()
  g = jax.eval_shape(generator.init, jax.random.key(0))
  f = jax.eval_shape(critic.init, jax.random.key(0))
  batch = 3
  z = jax.ShapeDtypeStruct((batch, network.latent_size), jnp.float32)
  x = jax.ShapeDtypeStruct((batch, *spec.image_shape), jnp.float32)

  def critic_step(f, g, z, x):
    fake = generator.apply(g, z)

    def loss(f):
      return wgan.critic_loss(
        lambda x: critic.apply(f, x), x, fake, jax.random.key(0)
      )

    return jax.value_and_grad(loss, has_aux=True)(f)

  def generator_step(g, f, z):
    def loss(g):
      return critic.apply(f, generator.apply(g, z)).sum()

    return jax.value_and_grad(loss)(g)

  assert _traced(critic_step, f, g, z, x) == network.critic_step(batch)
  assert _traced(generator_step, g, f, z) == network.generator_step(batch)


def test_interleaved_cases_run_in_turns():
  order = []
  spent = timing.interleave(
    {name: lambda name=name: order.append(name) for name in 'abcd'}, rounds=8
  )
  turns = [''.join(order[i : i + 4]) for i in range(0, len(order), 4)]
  assert len(turns) == 9
  assert all(sorted(turn) == list('abcd') for turn in turns)
  # None always follows the same one.
  before = {turn[turn.index('b') - 1] for turn in turns if turn[0] != 'b'}
  assert len(before) > 1
  assert [len(s) for s in spent.values()] == [8] * 4
  assert all(s >= 0.0 for times in spent.values() for s in times)


class Watch:
  """Time that passes only where a case says so."""

  def __init__(self):
    self.now = 0.0

  def perf_counter(self):
    return self.now

  def play(self, steps=1):
    self.now += 0.25 * steps


def test_times_are_of_one_step_of_each_case(monkeypatch):
  watch = Watch()
  monkeypatch.setattr(timing, 'time', watch)
  spent = timing.interleave(
    {'one': watch.play, 'many': lambda: watch.play(8)},
    rounds=2, steps={'many': 4},
  )  # fmt: skip
  assert spent == {'one': [0.25, 0.25], 'many': [0.5, 0.5]}


def test_calls_have_as_many_steps_as_take_the_time(monkeypatch):
  watch = Watch()
  monkeypatch.setattr(timing, 'time', watch)
  fitting = lambda seconds, *least, **fixed: timing.Turns(  # noqa: E731
    1, seconds, **fixed
  ).fitting(watch.play, *least)
  assert fitting(2.0) == 8
  assert fitting(0.1) == 1
  assert fitting(0.1, 2) == 2
  assert fitting(1e3) == 100
  assert fitting(2.0, steps=7) == 7


def test_ratios_are_medians_of_the_rounds():
  # A busy second round meets both.
  assert timing.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 4.0]) == 2.0
  assert timing.median([3.0, 1.0, 2.0]) == 2.0


def test_a_stop_ends_between_two_cases():
  with pytest.raises(loop.Interrupted):
    timing.interleave({'a': lambda: None}, rounds=1, stop=lambda: True)


@pytest.mark.slow
def test_members_of_a_program_are_members_of_the_game():
  images = programs.data(SMALL, 0, 16)
  program = programs.pretraining(SMALL, GAME, images, 0, members=3)
  state, metrics, finite = program.chunk(
    program.state, program.inputs, program.key, 2
  )
  assert bool(finite)
  assert np.asarray(state.step).tolist() == [2, 2, 2]
  assert metrics['w1'].shape == (3, 1)
  barycenter = programs.barycenter(SMALL, GAME, 4, 0)
  assert barycenter.state.w1.shape == (4,)


@pytest.mark.slow
def test_step_is_measured_without_peers():
  turns = timing.Turns(rounds=1, seconds=1e-3)
  row = steps.measure(SMALL, GAME, peers=(), turns=turns, seed=0)
  assert row['ratios'] == {}
  assert row['operations'] == SMALL.step(4, 2)
  share = row['operations'] / row['step_seconds']['ours'] / row['rate']
  assert row['share_of_rate'] == pytest.approx(share)


def test_unknown_peers_and_parts_are_refused():
  with pytest.raises(ValueError, match='peers'):
    steps.available(('tensorflow',))
  config = default.get_config()
  config.parts = ('speed',)
  with pytest.raises(ValueError, match='parts'):
    train.plan('', config, lambda: False)


def test_measures_agree_with_their_peers():
  rows = references.measure((60,), features=4, rounds=1, seconds=60.0, seed=0)[
    'rows'
  ]
  names = [row['measure'] for row in rows]
  assert {'Frechet', 'PRDC'} <= set(names)
  for row in rows:
    tolerance = 1e-2 if 'Sinkhorn' in row['measure'] else 1e-4
    assert row['ours'] == pytest.approx(row['theirs'], rel=tolerance), row


def test_sizes_that_take_too_long_have_no_times():
  rows = references.measure(
    (60, 6000), features=4, rounds=1, seconds=1e-4, seed=0
  )['rows']
  assert [row['ratio'] is None for row in rows if row['n'] == 6000]
  assert all('ours' not in row for row in rows if row['n'] == 6000)


@pytest.mark.slow
def test_growth_is_measured_by_network():
  found = ensembles.growth(
    [SMALL, shapes.Network(8, 1, 8, latent_size=8)], GAME,
    turns=timing.Turns(rounds=1, seconds=0.01), seed=0,
  )  # fmt: skip
  first, second = found['rows']
  assert (first['width'], second['width']) == (4, 8)
  assert second['product_seconds'] > 2.0 * first['product_seconds']
  assert min(first['seconds'], second['seconds']) > 0.0


@pytest.mark.slow
def test_precisions_are_scored_from_the_same_start():
  found = rounding.measure(
    'digits', 4, GAME, seeds=2, steps=2, samples=100, seed=0
  )
  full, low = found['rows']
  assert (full['precision'], low['precision']) == ('float32', 'bfloat16')
  assert full['frechet'] != low['frechet']
  np.testing.assert_allclose(full['frechet'], low['frechet'], rtol=0.02)
  assert full['real'] < full['mean']


@pytest.mark.slow
def test_a_process_is_probed():
  found = probe.start(
    {
      'width': 4, 'size': 8, 'channels': 1, 'batch_size': 4, 'critic_steps': 1,
      'members': 2, 'nodes': 2, 'steps': 2, 'seed': 0,
    }
  )  # fmt: skip
  assert found['first_chunk_seconds'] > found['import_seconds'] > 0.0
  # More than the imports, whatever this process holds.
  assert found['resident_mib'] > found['imported_mib'] + 1.0 > 10.0


@pytest.mark.slow
def test_a_probe_that_fails_says_why():
  with pytest.raises(RuntimeError, match='KeyError'):
    probe.start({'width': 4})


def test_summary_and_figures():
  step = {
    'size': 28, 'width': 16, 'ratios': {'eager': 2.0}, 'share_of_rate': 0.5,
    'scan_over_unrolled': 1.0, 'bfloat16': 1.5, 'channels': 1,
    'step_seconds': {'ours': 0.04}, 'operations': 10**9, 'rate': 10.0**11,
    'spread': {'devices': 2, 'ours': 1.1, 'eager': 2.5, 'share_of_rate': 0.6},
  }  # fmt: skip
  grown = {
    'size': 28, 'width': 8, 'channels': 1, 'seconds': 0.02,
    'product_seconds': 0.005,
  }  # fmt: skip
  rounded = {
    'precision': 'bfloat16', 'dataset': 'digits', 'mean': 3.0, 'deviation': 0.1,
  }  # fmt: skip
  member = {
    'members': 4, 'width': 16, 'seconds': 0.1, 'loop_ratio': 1.1,
    'ratios': {'eager': 2.2}, 'precision': 'float32', 'share_of_rate': 0.4,
  }  # fmt: skip
  low = member | {
    'precision': 'bfloat16', 'ratios': {'autocast': 2.0, 'vmap': 3.0},
  }  # fmt: skip
  memory = {
    'axis': 'members', 'count': 4, 'width': 16, 'resident_mib': 300.0,
    'imported_mib': 200.0,
  }  # fmt: skip
  summary = train.summarise(
    {
      'step_28_w16': step,
      'members_w16_float32': {'rows': [member]},
      'members_w16_bfloat16': {'rows': [low]},
      'memory_members_4': memory,
      'growth': {'rows': [grown]},
      'rounding_digits': {'rows': [rounded]},
    }
  )
  assert summary['ratios']['28px_w16']['eager'] == 2.0
  assert summary['ratios']['S4_w16'] == {
    'loop': 1.1, 'eager': 2.2, 'share_of_rate': 0.4,
  }  # fmt: skip
  assert summary['ratios']['frechet_bfloat16_digits']['mean'] == 3.0
  assert summary['ratios']['S4_w16_bfloat16']['vmap'] == 3.0
  figures = plots.figures(summary)
  assert set(figures) == {'steps', 'growth', 'members'}
  peers, shares = figures['steps'].axes
  assert [bar.get_height() for bar in peers.patches] == [2.0, 2.5]
  assert [bar.get_height() for bar in shares.patches] == [50.0, 60.0]


needs_torch = pytest.mark.skipif(
  importlib.util.find_spec('torch') is None, reason='PyTorch is not installed'
)


# `torch.compile` warns of itself; elsewhere warnings are errors.
@needs_torch
@pytest.mark.filterwarnings('default')
@pytest.mark.parametrize('network', [SMALL, shapes.Network(32, 3, 4)])
@pytest.mark.parametrize(
  'options', [{}, pytest.param({'compiled': 'default'}, marks=pytest.mark.slow)]
)
def test_the_peer_computes_the_same(network, options):
  from experiments.speed import agreement  # noqa: PLC0415

  config = game_lib.Config(batch_size=4, critic_steps=2, learning_rate=1e-3)
  images = programs.data(network, 0, 32)
  found = agreement.compare(network, config, images, 0, steps=3, **options)
  assert found['difference'] < 1e-4, found


@needs_torch
@pytest.mark.slow
def test_stacked_peers_compute_what_each_one_does():
  import torch  # noqa: PLC0415

  from experiments.speed import agreement  # noqa: PLC0415
  from experiments.speed import stacked  # noqa: PLC0415
  from experiments.speed import torch_arrays  # noqa: PLC0415

  images = programs.data(SMALL, 0, 32)
  program = programs.pretraining(SMALL, GAME, images, 0, 3)
  starts = [
    program._replace(state=jax.tree.map(lambda x, i=i: x[i], program.state))
    for i in range(3)
  ]
  alone, members = (
    [agreement.trainer_of(SMALL, GAME, start) for start in starts]
    for _ in range(2)
  )
  together = stacked.Trainer(members)
  torch.manual_seed(0)
  for _ in range(2):
    batches, z = stacked.draw(
      torch_arrays.images(images), 3, 2, 4, SMALL.latent_size
    )
    together.step(batches, z)
    for i, trainer in enumerate(alone):
      trainer.step([tuple(x[i] for x in one) for one in batches], z[i])
  for name, each in enumerate(together.losses):
    expected = [float(trainer.losses[name]) for trainer in alone]
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-4, atol=1e-5)
