"""The bundles that the package ships."""

import hashlib
import pathlib

import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.models import bundle
from coalesce_jax.models import zoo


def test_the_zoo_is_small_and_every_bundle_is_what_the_index_says():
  known = zoo.index()
  assert sorted(known) == [
    'fashion-0-4', 'fashion-5-9', 'fashion-meta',
    'mnist-0-4', 'mnist-5-9', 'mnist-meta',
  ]  # fmt: skip
  total = 0
  for name, entry in known.items():
    path = pathlib.Path(zoo.path(f'zoo:{name}'))
    data = path.read_bytes()
    total += len(data)
    assert hashlib.sha256(data).hexdigest() == entry['sha256']
    assert len(data) == entry['bytes']
    spec = bundle.load(path).spec
    assert spec.provenance['dataset'] == entry['dataset']
    assert spec.provenance['classes'] == entry['classes']
    assert list(spec.image_shape) == entry['image_shape']
    assert 0 < entry['scores']['frechet'] and entry['command']
  folder = pathlib.Path(zoo.path('zoo:mnist-meta')).parent
  assert total == sum(p.stat().st_size for p in folder.glob('*.safetensors'))
  assert total < 3_000_000


def test_metamodels_know_what_both_nodes_know():
  for name in ('mnist', 'fashion'):
    scores = {
      part: zoo.index()[f'{name}-{part}']['scores']['frechet']
      for part in ('0-4', '5-9', 'meta')
    }
    assert scores['meta'] < min(scores['0-4'], scores['5-9']) / 2


def test_names_of_the_zoo_are_taken_for_paths():
  generator = cj.load('zoo:mnist-0-4')
  assert generator.critic is not None
  same = cj.load(zoo.path('zoo:mnist-0-4'))
  np.testing.assert_array_equal(
    generator.params['out']['kernel'], same.params['out']['kernel']
  )
  assert bundle.inspect('zoo:mnist-0-4')['payload_sha256']
  assert zoo.path('any/path') == 'any/path'
  with pytest.raises(cj.BundleError, match='zoo:x: not in the zoo, which has'):
    cj.load('zoo:x')
  with pytest.raises(cj.BundleError, match='not in the zoo'):
    cj.load('zoo:../mnist-0-4')


def test_a_damaged_bundle_is_refused(monkeypatch):
  entry = zoo.index()['mnist-0-4'] | {'sha256': '0' * 64}
  monkeypatch.setattr(zoo, 'index', lambda: {'mnist-0-4': entry})
  with pytest.raises(ValueError, match='is damaged; install the package'):
    zoo.path('zoo:mnist-0-4')
