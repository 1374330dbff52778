"""From the values of a run to nodes and files, without Flower."""

import json

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.data import datasets
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import exchange
from coalesce_jax.federated import learn
from coalesce_jax.pipeline import federated_config
from coalesce_jax.pipeline import federated_data
from coalesce_jax.pipeline import federated_nodes
from tests.federated import channels
from tests.federated.flower import settings


def echo(content):
  """Sends back what it was sent."""
  metrics = dict.fromkeys(('loss', 'accuracy', 'open'), 0.5)
  return exchange.Content(content.arrays, {'num-examples': 3, **metrics})


def scores(content):
  names = ('accuracy', 'before', 'macs', 'static_accuracy', 'static_macs')
  return exchange.Content({}, {'num-examples': 2, **dict.fromkeys(names, 0.25)})


def test_the_server_leaves_parameters_and_a_summary(tmp_path):
  values = federated_nodes.values(settings.metagater(), str(tmp_path))
  nodes = {
    7 + k: {
      'query': lambda _, k=k: exchange.Content({}, {'position': k}),
      'train': echo,
      'evaluate': scores,
    }
    for k in range(3)
  }
  federated_nodes.lead(channels.channel(nodes), {**values, 'wait': 0.0})
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert [sorted(row['nodes']) for row in summary['rounds']] == [[0, 1, 2]] * 3
  assert summary['scores']['accuracy'] == 0.25
  assert summary['refused'] == ['node 3: is not connected'] * 3
  meta = classifier_files.load_meta(summary['meta'])
  assert meta.spec.image_shape == (8, 8, 1) and meta.order == 'backbone'
  assert not meta.fixed


@pytest.mark.slow
@pytest.mark.parametrize(
  ('gates', 'changes'),
  [
    ('none', {}),
    # Noise and target of each round, and gradients through the step.
    (
      'input',
      {
        'order': 'gates_first', 'noise': 0.5, 'closing': 1.0, 'target': 0.2,
        'second_order': True, 'local_steps': 1,
      },
    ),
  ],
)  # fmt: skip
def test_nodes_that_make_their_parts_themselves_equal_one_program(
  gates, changes, tmp_path
):
  config = settings.metagater(nodes=2, rounds=2)
  config.gates = gates
  config.meta.update(changes)
  values = federated_nodes.values(config, str(tmp_path))
  nodes = {
    k: federated_nodes.make(values, {'partition-id': k}) for k in range(2)
  }
  federated_nodes.lead(channels.channel(nodes), values)
  found = classifier_files.load_meta(tmp_path / 'meta.safetensors')
  problem = federated_data.load(config)
  whole, _ = learn.metagater(
    jax.random.split(jax.random.key(0), 1)[0], problem.train, found.spec,
    problem.shape, config=federated_config.learning(config),
  )  # fmt: skip
  wanted = trees.flatten(whole.params)
  for name, leaf in trees.flatten(found.params).items():
    np.testing.assert_allclose(leaf, wanted[name], atol=1e-5, err_msg=name)


def test_a_node_has_no_image_but_its_own(tmp_path):
  values = federated_nodes.values(settings.metagater(), str(tmp_path))
  train = federated_data.load(settings.metagater()).train
  sizes = [int(n) for n in train.samples]
  for k in (0, 3):
    handlers = federated_nodes.make(values, {'partition-id': k})
    answer = handlers['query'](exchange.Content({}, {}))
    assert answer.values == {'position': k, 'num-examples': sizes[k]}
    assert not answer.arrays


@pytest.mark.parametrize(
  ('node', 'message'),
  [
    ({}, "neither 'data' nor 'partition-id'"),
    ({'partition-id': 4}, 'partition-id 4 is not in 0 to 3'),
    ({'data': 'nowhere'}, 'nowhere'),
  ],
  ids=['nothing', 'position', 'data'],
)
def test_a_node_without_images_says_so(tmp_path, node, message):
  values = federated_nodes.values(settings.metagater(), str(tmp_path))
  with pytest.raises(ValueError, match=message) as error:
    federated_nodes.make(values, node)
  assert '\n' not in str(error.value)


def test_each_node_numbers_the_classes_of_its_own_images(tmp_path, monkeypatch):
  values = federated_nodes.values(settings.metagater(), str(tmp_path))
  kept = []
  monkeypatch.setattr(
    federated_nodes.node_lib, 'handlers',
    lambda spec, config, shape, mine, **more: kept.append(mine),
  )  # fmt: skip
  labels = np.repeat(np.arange(2, dtype=np.int32), 6)
  for seed in (*range(6), 0):
    images = np.random.default_rng(seed).integers(
      0, 256, (12, 8, 8, 1), np.uint8
    )
    monkeypatch.setattr(
      federated_nodes.node_settings, 'own',
      lambda *_, images=images: datasets.Dataset('mine', images, labels, ''),
    )  # fmt: skip
    federated_nodes.make(values, {'data': 'mine'})
  orders = [np.asarray(mine.labels).tolist() for mine in kept]
  # The same node has the same order for every message.
  assert orders[0] == orders[-1]
  assert len({str(order) for order in orders}) == 2


def test_one_seed_is_learned_over_nodes(tmp_path):
  config = settings.metagater()
  config.seeds = 2
  with pytest.raises(ValueError, match='seeds 2: real nodes learn one seed'):
    federated_nodes.values(config, str(tmp_path))
