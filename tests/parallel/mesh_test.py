"""Games over several devices against the same games on one."""

import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from coalesce_jax.parallel import mesh

ROOT = pathlib.Path(__file__).resolve().parents[2]


def programme(*arguments, devices):
  """Starts tests/sharded.py with so many virtual devices."""
  flag = f'--xla_force_host_platform_device_count={devices}'
  return subprocess.Popen(
    [sys.executable, '-m', 'tests.sharded', *arguments],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flag, 'JAX_PLATFORMS': 'cpu'},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def finished(process):
  out, err = process.communicate(timeout=300)
  assert process.returncode == 0, err[-2000:]
  return json.loads(out.strip().splitlines()[-1])


def check(found, devices):
  assert found['devices'] == devices
  # The same numbers as on one device, to rounding.
  assert found['difference'] < 1e-4, found
  assert found['history'] < 1e-4, found
  for name, (whole, part, parts) in found['leaves'].items():
    assert whole == part * parts, name


@pytest.mark.slow
@pytest.mark.parametrize(
  'members,critics,batch,parts',
  [(8, 2, 8, [8, 1, 1]), (4, 2, 8, [4, 2, 1]), (0, 2, 8, [1, 2, 4])],
)
def test_eight_devices_equal_one(members, critics, batch, parts):
  found = finished(
    programme('one', str(members), str(critics), str(batch), devices=8)
  )
  assert found['mesh'] == parts
  check(found, 8)


@pytest.mark.slow
def test_two_processes_equal_one():
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{free.getsockname()[1]}'
  both = [
    programme(address, '4', '2', '8', str(i), devices=2) for i in range(2)
  ]
  for found in [finished(p) for p in both]:
    check(found, 4)


def test_devices_that_would_be_idle_are_named():
  devices = [jax.devices()[0]] * 8
  with pytest.raises(ValueError, match='8 devices cannot share 3 replicas'):
    mesh.mesh(replicas=3, critics=2, batch=1, devices=devices)
  with pytest.raises(ValueError, match='below 1'):
    mesh.mesh(replicas=0)


def test_axes_are_filled_in_order():
  one = jax.devices()
  for counts, sizes in (
    ((8, 2, 64), (8, 1, 1)),
    ((4, 2, 64), (4, 2, 1)),
    ((1, 2, 64), (1, 2, 4)),
    ((6, 4, 1), (2, 4, 1)),
  ):
    made = mesh.mesh(*counts, devices=one * 8)
    assert tuple(made.shape.values()) == sizes


def test_a_process_outside_of_the_number_is_refused():
  with pytest.raises(ValueError, match='not among'):
    mesh.start('127.0.0.1:1', 2, 2)


def test_devices_are_those_that_members_and_batch_can_share():
  devices = jax.devices() * 6
  for members, batch, sizes in (
    (1, 64, (1, 1, 4)),
    (2, 64, (2, 1, 2)),
    (3, 64, (3, 1, 2)),
    (3, 5, (1, 1, 5)),
    (1, 5, (1, 1, 5)),
  ):
    with mesh.use(devices):
      assert mesh.current() is None
      made = mesh.fitting(members, batch)
    assert tuple(made.shape.values()) == sizes


def test_one_device_or_a_mesh_of_ones_own_is_left_alone():
  for over in (jax.devices()[:1], [], mesh.mesh(devices=jax.devices()[:1])):
    with mesh.use(over):
      assert mesh.fitting(4, 64) is None


class State(NamedTuple):
  critics: Any
  step: Any
  other: Any


def test_leaves_lie_along_the_axes_that_divide_them():
  over = mesh.mesh(4, 2, devices=jax.devices() * 8)
  tree = State({'w': np.zeros((4, 2, 3))}, np.zeros(()), np.zeros((6, 2)))
  along = (('critics', 'critics'), ('step', 'critics'))

  def specs(batched, sharded=along):
    found = mesh.shardings(tree, over, batched, sharded)
    assert all(s.mesh is over for s in jax.tree.leaves(found))
    return [tuple(s.spec) for s in jax.tree.leaves(found)]

  assert specs(True) == [('replicas', 'critics'), (), (None,)]
  assert specs(True, ()) == [('replicas',), (), (None,)]
  # Four along the critics' axis of two; no replicas.
  assert specs(False) == [('critics',), (), ()]
  assert tuple(mesh.everywhere(over).spec) == ()


def test_arrays_and_keys_are_placed_as_they_are():
  over = mesh.mesh(devices=jax.devices()[:1])
  tree = State(np.arange(6.0).reshape(2, 3), jax.random.key(3), np.ones(()))
  placed = mesh.place(tree, over, True, (('critics', 'critics'),))
  assert [tuple(leaf.sharding.spec) for leaf in placed] == [
    ('replicas', 'critics'), (), ()
  ]  # fmt: skip
  np.testing.assert_array_equal(placed.critics, tree.critics)
  assert jax.random.key_data(placed.step).tolist() == [0, 3]


@pytest.mark.slow
def test_stages_spread_over_devices_equal_stages_on_one():
  found = finished(programme('stages', devices=2))
  assert found['devices'] == [1, 1]
  assert found['difference'] < 1e-4


def test_a_mesh_of_no_devices_is_refused():
  with pytest.raises(ValueError, match='^devices: there are none'):
    mesh.mesh(devices=[])
