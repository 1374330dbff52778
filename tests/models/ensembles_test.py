"""Ensembles: replicas stacked, taken apart, written and read."""

import dataclasses

import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import trees
from coalesce_jax.models import ensembles
from tests import small


def replicas(count=3):
  """Generators with a critic whose weights are the number of the replica."""
  spec = small.VECTORS
  shapes = jax.eval_shape(spec.build_critic().init, jax.random.key(0))

  def critic(s):
    return jax.tree.map(lambda leaf: np.full(leaf.shape, s, np.float32), shapes)

  return [small.drawn(spec, s)._replace(critic=critic(s)) for s in range(count)]


def same(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_replicas_come_out_of_an_ensemble_as_they_went_in():
  given = replicas()
  ensemble = ensembles.batched(given)
  assert ensembles.count(ensemble) == 3
  for s, replica in enumerate(given):
    found = ensembles.member(ensemble, s)
    same((found.params, found.critic), (replica.params, replica.critic))
    assert found.spec == replica.spec


def test_an_ensemble_has_critics_only_if_every_replica_has_one():
  first, second = replicas(2)
  found = ensembles.batched([first, second._replace(critic=None)])
  assert found.critic is None
  assert ensembles.member(found, 1).critic is None


def test_written_replicas_are_read_with_their_numbers(tmp_path):
  ensemble = ensembles.batched(replicas())
  ensembles.write(tmp_path, 'meta', ensemble, {'dataset': 'digits'})
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'meta_s0.safetensors', 'meta_s1.safetensors', 'meta_s2.safetensors'
  ]  # fmt: skip
  last = cj.load(ensembles.path(tmp_path, 'meta', 2))
  assert last.spec == dataclasses.replace(
    small.VECTORS, provenance={'dataset': 'digits', 'member': '2'}
  )
  found = ensembles.read(tmp_path, 'meta', 2)
  assert ensembles.count(found) == 2
  first = trees.stack([r.params for r in replicas()[:2]])
  same(found.params, first)
  assert found.critic['head']['bias'].tolist() == [[0.0], [1.0]]
  with pytest.raises(cj.BundleError, match='meta_s3.*no such file'):
    ensembles.read(tmp_path, 'meta', 4)


def test_inputs_are_stacked_after_the_replicas():
  first, second = replicas(2)
  kernels = [g.params['out']['kernel'] for g in (first, second)]
  found = ensembles.stacked([first, second], batched=False)
  same(found['out']['kernel'], np.stack(kernels))
  # Two inputs of two replicas each: [S, K, ...].
  pair = [
    ensembles.batched([first, second]), ensembles.batched([second, second])
  ]  # fmt: skip
  found = ensembles.stacked(pair, batched=True, field='critic')
  assert found['head']['bias'][..., 0].tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_the_first_critic_is_that_of_the_first_input():
  critics = {'w': np.arange(12).reshape(2, 3, 2)}
  alone = ensembles.first_critic(critics, batched=False)
  assert alone['w'].tolist() == [[0, 1], [2, 3], [4, 5]]
  many = ensembles.first_critic(critics, batched=True)
  assert many['w'].tolist() == [[0, 1], [6, 7]]
