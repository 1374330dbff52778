"""Federated meta-learning: settings, helpers of rows, and the table."""

import importlib.util

import jax
import numpy as np
import pytest

from coalesce_jax.data import omniglot as data_omniglot
from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import learn
from experiments.federated import measures
from experiments.federated import rows
from experiments.federated import speed
from experiments.federated import tables
from experiments.federated import train
from experiments.federated.configs import cifar10
from experiments.federated.configs import digits
from experiments.federated.configs import mnist_fashion
from experiments.federated.configs import omniglot
from tests.federated import small

needs_torch = pytest.mark.skipif(
  importlib.util.find_spec('torch') is None, reason='PyTorch is not installed'
)


@pytest.mark.parametrize('variant', ['', 'quick'])
@pytest.mark.parametrize('module', [cifar10, digits, mnist_fashion, omniglot])
def test_settings_of_all_trials_are_valid(module, variant):
  config = module.get_config(variant)
  train.validate(config)
  chosen = train.names(config)
  assert set(chosen) <= set(train.rows(config))
  if not variant:
    assert len(chosen) == len(rows.TABLE) + 4
  order = [name for stage in train.stages(config) for (name,) in stage]
  timed = [train.SPEED] * (not variant)
  assert sorted(order) == sorted([*chosen, *timed])
  for name in chosen:
    for other in rows.needs(train.rows(config)[name]):
      assert order.index(other) < order.index(name)
  config.only = ('nothing',)
  with pytest.raises(ValueError, match="row 'nothing' is not one of"):
    train.validate(config)
  config.only = ('slim',)
  with pytest.raises(ValueError, match="needs the row 'metagater'"):
    train.validate(config)
  with pytest.raises(ValueError, match="variant 'x'"):
    module.get_config('x')


def test_a_row_changes_the_field_it_names():
  config = digits.get_config()
  made = train.changed(config, rows.TABLE['per_fedavg_first_order'])
  assert made.gates == 'none' and not made.meta.second_order
  assert config.gates == 'input' and config.meta.second_order
  assert train.changed(config, rows.TABLE['fedavg']).select_every == 0
  made = train.changed(config, rows.curve((0.3,))['rho_0.3'])
  assert (made.meta.rho, made.meta.target) == (0.3, 0.0)


def test_random_masks_open_as_many_channels_as_the_gates():
  config = digits.get_config()
  config.seeds, config.tasks = 2, 50
  found = measures.random_masks({'open': [[0.5] * 8, [0.0] * 3]}, config)
  assert found[0].shape == (2, 50, 8) and found[1].shape == (2, 50, 3)
  np.testing.assert_array_equal(found[0].sum(-1), np.full((2, 50), 4))
  np.testing.assert_array_equal(found[1].sum(-1), np.ones((2, 50)))
  assert len({row.tobytes() for row in np.asarray(found[0][0])}) > 20


def test_overlap_is_that_of_similar_and_of_other_nodes():
  # Six tasks of three nodes in turn: the first two nodes are alike.
  gates = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [1, 1], [0, 0]], float)
  empty = np.zeros((1, 6))
  scores = evaluation.Scores(*[empty] * 5, (gates[None],))
  topics = [frozenset('ab'), frozenset('ab'), frozenset('c')]
  found = measures.overlap(scores, topics)
  # Means of nodes: (1, 1), (1, 0.5) and (0, 0).
  assert found == {'similar': 0.75, 'dissimilar': pytest.approx(0.125)}
  assert measures.overlap(scores, [frozenset('a')] * 3)['dissimilar'] is None


def test_a_network_of_more_ways_has_the_mean_output():
  params = small.params(small.SPEC)
  stacked = {
    part: jax.tree.map(lambda x: np.asarray(x)[None], tree)
    for part, tree in params.items()
  }
  spec, more = measures.more_ways(learn.Meta(small.SPEC, stacked), 7)
  head = more['backbone']['logits']
  assert head['kernel'].shape == (1, 4, 7) and spec.classes == 7
  kernel = np.asarray(params['backbone']['logits']['kernel'])
  np.testing.assert_allclose(head['kernel'][0, :, 5], kernel.mean(1), rtol=1e-6)


def test_official_runs_take_steps_of_the_selected_size():
  images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8)
  # Each character comes first once. Equal outputs choose the first one.
  runs = [
    data_omniglot.Run(np.roll(images, i, 0), images, np.zeros(3, np.int32))
    for i in range(3)
  ]
  meta = learn.Meta(
    small.DENSE, jax.tree.map(lambda x: x[None], small.params(small.DENSE))
  )
  still, moved = (
    measures.official(runs, meta, small.config(order='backbone'), scale)
    for scale in (0.0, 1.0)
  )
  assert still == [1.0] and moved[0] < 0.7


def result(accuracy, macs):
  return {
    'accuracy': accuracy, 'static_accuracy': accuracy, 'macs': macs,
    'static_macs': macs, 'dense_macs': 100, 'bytes_per_round': 2048,
    'open': [], 'overlap': {'similar': 0.9, 'dissimilar': None}, 'scale': 1.0,
    'width': 4, 'nodes': None, 'runs': None, 'validation': 0.5,
    'curve': [
      {'step': 10 * i, 'gradient_squared': [4.0 / i]} for i in range(1, 11)
    ],
  }  # fmt: skip


def test_the_table_has_means_and_intervals_over_tasks():
  accuracy = [[0.5, 1.0, 0.0, 0.5], [0.5, 0.5, 0.5, 0.5]]
  made = tables.report(
    digits.get_config(),
    {
      'metagater': result(accuracy, 50) | {'nodes': 2},
      'rho_0.1': result(accuracy, 30),
      'slim': result([[0.0, 0.5, 0.5, 0.0], [0.0] * 4], 50),
      'speed': {
        'medians': {'program': 2.0},
        'ratios': {'side_by_side': 1.7, 'one_by_one': 1.2},
        'nodes': 16,
        'peers': {'ratios': {'vmap': 2.5}},
      },
    },
  )
  row = made.summary['rows']['metagater']
  # Of tasks, means over seeds are 0.5, 0.75, 0.25, 0.5.
  wanted = 1.96 * np.sqrt((2 * 0.25**2) / 3) / 2
  assert row['accuracy'] == 0.5
  np.testing.assert_allclose(row['interval'], wanted)
  assert row['gradient_squared'] == [4.0, 0.4] and row['macs'] == 0.5
  assert '| metagater | 50.0 ± 20.0 |  |  | 50.0' in made.text
  # Of tasks, means over seeds of the other row are 0, 0.25, 0.25, 0.
  other = made.summary['rows']['slim']
  wanted = 1.96 * np.std([0.5, 0.5, 0.0, 0.5], ddof=1) / 2
  np.testing.assert_allclose(other['ahead'], 0.375)
  np.testing.assert_allclose(other['ahead_interval'], wanted)
  # Of the two nodes 0.25 and 0.5; Student's quantile of one degree is 12.706.
  wanted = 12.706 * 0.125
  np.testing.assert_allclose(other['ahead_node_interval'], wanted, rtol=1e-4)
  assert '| slim | 12.5 ± 14.1 | 37.5 ± 24.5 | 37.5 ± 158.8 |' in made.text
  assert '| 4 to 0.4 | 0.900 and - |' in made.text
  assert 'takes 2.00 s. It takes 1.70 times as long with all' in made.text
  assert 'side by side, and 1.20 times as a program' in made.text
  assert 'PyTorch takes 2.50 times as long as ours without gates' in made.text
  assert set(made.figures) == {'errors', 'curve', 'gradients', 'speed'}
  (axis,) = made.figures['speed'].axes
  assert [bar.get_width() for bar in axis.patches] == [2.5, 1.2, 1.7]
  only = tables.report(digits.get_config(), {'speed': {
    'medians': {'program': 2.0}, 'nodes': 16,
    'ratios': {'side_by_side': 1.7, 'one_by_one': 1.2},
  }})  # fmt: skip
  assert set(only.figures) == {'speed'}


def test_bytes_of_a_round_count_what_is_sent():
  meta = learn.Meta(
    small.SPEC,
    {
      part: jax.tree.map(lambda x: np.asarray(x)[None], tree)
      for part, tree in small.params(small.SPEC).items()
    },
  )
  shapes = {'backbone': 9 * 4 + 3 * 8 + 2 * 9 * 16 + 4 * 2 + 2}
  gates = 4 * 16 + 16 + 2 * 16 + 16 * 4 + 4
  sent = shapes['backbone'] + gates
  leaves = 11 + 6
  config = small.config(one_step=False)
  counted = measures.bytes_per_round
  assert counted(meta, config, 9) == 8 * sent * 3
  # Fewer nodes than a round may have.
  assert counted(meta, config, 2) == 8 * sent * 2
  assert counted(meta, small.config(), 9) == 8 * 3 * (sent + leaves)
  personal = small.config(one_step=False, personal_gates=True)
  assert counted(meta, personal, 9) == 8 * shapes['backbone'] * 3
  assert classifier.total(small.SPEC) > classifier.dense(small.SPEC)


@needs_torch
def test_pytorch_has_our_gradients_of_either_order():
  from experiments.federated import peer  # noqa: PLC0415

  torch = pytest.importorskip('torch')
  spec = classifier.Spec('conv4', (4, 4, 1), 2, 4, gates='none', per_group=2)
  drawn = evaluation.draw(small.nodes(), small.SHAPE, 2, 0)
  weights = np.array([0.25, 0.75], np.float32)
  meta, nodes = small.params(spec), peer.batch(drawn)
  second, first = (
    small.config(order='backbone', second_order=order)
    for order in (True, False)
  )
  ours = speed.reference(spec, second, meta, drawn, weights)

  def differ(config, way):
    trainer = peer.Trainer(spec, config, meta, way)
    theirs = trainer.gradient(nodes, torch.from_numpy(weights))
    return speed.difference(theirs, ours)

  for way in peer.WAYS:
    assert differ(second, way) < 1e-3
    assert differ(first, way) > 1e-2


@needs_torch
def test_a_round_of_pytorch_descends():
  from experiments.federated import peer  # noqa: PLC0415

  torch = pytest.importorskip('torch')
  spec = classifier.Spec('conv4', (4, 4, 1), 2, 4, gates='none', per_group=2)
  nodes = peer.batch(evaluation.draw(small.nodes(), small.SHAPE, 2, 0))
  config = small.config(order='backbone', server_rate=1e-2)
  trainer = peer.Trainer(spec, config, small.params(spec), 'vmap')
  losses = []
  for _ in range(5):
    trainer.round(nodes, torch.tensor([0.5, 0.5]))
    losses.append(trainer.loss)
  assert losses[-1] < losses[0]


def test_a_comparison_without_pytorch_is_empty(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  found = speed.against_peers(small.DENSE, small.config(), None, 1, None)
  assert found == {}
