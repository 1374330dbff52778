"""Runs over Flower's processes on this machine, over loopback.

They need the extra `federated`: `make test-federated`.
"""

import functools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip('flwr')

from coalesce_jax.core import trees  # noqa: E402
from coalesce_jax.federated import classifier_files  # noqa: E402
from coalesce_jax.federated import learn  # noqa: E402
from coalesce_jax.federated import meta as meta_lib  # noqa: E402
from coalesce_jax.federated import rounds  # noqa: E402
from coalesce_jax.methods import barycenter  # noqa: E402
from coalesce_jax.models import bundle  # noqa: E402
from coalesce_jax.pipeline import config as config_lib  # noqa: E402
from coalesce_jax.pipeline import federated_config  # noqa: E402
from coalesce_jax.pipeline import federated_data  # noqa: E402
from launch import flower_app  # noqa: E402
from launch import flower_processes  # noqa: E402
from tests.federated.flower import bad_nodes  # noqa: E402
from tests.federated.flower import settings  # noqa: E402

pytestmark = pytest.mark.slow
# Seconds, more than a slow machine takes to start processes and to compile.
_LONG = 3000.0


def run(folder, app, config, nodes, module=None, tls=False, watch=None):
  """Runs an app; returns what its server wrote at the end."""
  values = flower_app.values(app, config, str(folder / 'out'))
  values |= {'wait': _LONG, 'timeout': _LONG}
  path = flower_app.write(folder / 'app', app, values, module)
  job = flower_processes.Job(path, folder, nodes, tls)
  started = {}

  def observe(running):
    started.update(running)
    if watch is not None:
      watch(running)

  flower_processes.run(job, watch=observe)
  assert all(process.poll() is not None for process in started.values())
  summary = folder / 'out' / 'summary.json'
  assert summary.is_file(), (folder / 'logs' / 'run.log').read_text()
  return json.loads(summary.read_text())


def close(found, wanted):
  other = trees.flatten(wanted)
  for name, leaf in trees.flatten(found).items():
    np.testing.assert_allclose(leaf, other[name], atol=1e-5, err_msg=name)


def test_three_rounds_of_four_nodes_equal_rounds_in_one_program(tmp_path):
  config = settings.metagater()
  nodes = [{'partition-id': k} for k in range(4)]
  summary = run(tmp_path, 'metagater', config, nodes)
  assert summary['refused'] == []
  assert [sorted(r['nodes']) for r in summary['rounds']] == [[0, 1, 2, 3]] * 3
  found = classifier_files.load_meta(summary['meta'])
  problem = federated_data.load(config)
  key = jax.random.split(jax.random.key(0), 1)[0]
  whole, _ = learn.metagater(
    key, problem.train, found.spec, problem.shape,
    config=federated_config.learning(config),
  )  # fmt: skip
  close(found.params, whole.params)
  begun = meta_lib.start(found.spec, federated_config.learning(config), key)
  before = trees.flatten(begun)
  moved = [
    float(jnp.max(jnp.abs(leaf - before[name])))
    for name, leaf in trees.flatten(found.params).items()
  ]
  assert max(moved) > 1e-3


def test_bad_and_killed_nodes_are_named_and_the_run_goes_on_over_tls(tmp_path):
  config = settings.metagater(nodes=3, rounds=4)
  marker = tmp_path / 'waits'
  nodes = [
    {'partition-id': 0},
    {'partition-id': 1, 'behaves': 'nan shape claim claim-inside'},
    {'partition-id': 2, 'behaves': 'wait', 'marker': str(marker)},
  ]

  def watch(running):
    # It has the message of the first round, and its answer never comes.
    if marker.exists() and running['node_2'].poll() is None:
      flower_processes.end({'node_2': running['node_2']})

  summary = run(
    tmp_path, 'metagater', config, nodes,
    bad_nodes.MODULE.format(home='federated_nodes'), tls=True, watch=watch,
  )  # fmt: skip
  assert [row['nodes'] for row in summary['rounds']] == [[0]] * 4
  by_node = {}
  for line in summary['refused']:
    name, _, reason = line.partition(': ')
    by_node.setdefault(name, []).append(reason)
  assert sorted(by_node) == ['node 1', 'node 2']
  nan, shape, claim, inside = by_node['node 1']
  assert 'not finite' in nan and '(3,), its network has' in shape
  assert '(2500000000,), its network has' in claim
  assert 'has bytes of float32 (2500000000,), its network has' in inside
  assert len(by_node['node 2']) == 4
  assert by_node['node 2'][1:] == ['is not connected'] * 3
  close(classifier_files.load_meta(summary['meta']).params, alone(config, 4, 0))


def alone(config, steps, node):
  """What one node ends with if it is alone in every round of several nodes."""
  problem = federated_data.load(config)
  learning = federated_config.learning(config)
  spec = federated_config.spec(config, (8, 8, 1), problem.classes)
  key = jax.random.split(jax.random.key(0), 1)[0]
  local = jax.jit(
    functools.partial(
      rounds.local, spec, learning, problem.shape, problem.train
    )
  )
  found = meta_lib.start(spec, learning, key)
  for step in range(steps):
    key_nodes, key_local = jax.random.split(jax.random.fold_in(key, step))
    order = jax.random.permutation(key_nodes, config.meta.nodes).tolist()
    keys = jax.random.split(key_local, config.meta.nodes)
    drawn = keys[order.index(node)]
    found, _, _ = local(jnp.int32(step), found, jnp.int32(node), drawn)
  return found


def test_nodes_send_bundles_and_get_their_barycenter(tmp_path):
  config = settings.coalescence()
  kept = tmp_path / 'kept.safetensors'
  nodes = [{'partition-id': k} for k in range(3)]
  nodes[0]['out'] = str(kept)
  nodes[2]['behaves'] = 'damaged'
  summary = run(
    tmp_path, 'coalescence', config, nodes,
    bad_nodes.MODULE.format(home='barycenter_nodes'),
  )  # fmt: skip
  assert summary['nodes'] == [0, 1] and summary['returned_to'] == [0, 1, 2]
  (line,) = summary['refused']
  assert line.startswith('node 2: ')
  out = tmp_path / 'out'
  assert sorted(os.listdir(out)) == [
    'meta.safetensors', 'node_0.safetensors', 'node_1.safetensors',
    'summary.json',
  ]  # fmt: skip
  parts = [bundle.load(out / f'node_{k}.safetensors') for k in (0, 1)]
  key = jax.random.fold_in(jax.random.split(jax.random.key(0), 1)[0], 2)
  wanted, _ = barycenter.barycenter(
    key, parts, config=config_lib.barycenter(config)
  )
  close(bundle.load(kept).params, wanted.params)
