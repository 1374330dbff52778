"""Bundles of nodes: which are taken, and what the server makes of them."""

import json
import os

import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.federated import exchange
from coalesce_jax.models import bundle
from coalesce_jax.pipeline import barycenter_nodes
from tests import small
from tests.federated import channels
from tests.federated.flower import settings
from tests.models import damaged


def content(data, name='bundle'):
  return exchange.Content({name: exchange.file_block(data)}, {})


def test_a_bundle_of_the_architecture_is_kept(tmp_path):
  made, path = small.drawn(small.PIXELS), tmp_path / 'a.safetensors'
  found = barycenter_nodes.received(
    content(bundle.encode(made)), small.PIXELS, path, 'node 1'
  )
  wanted = trees.flatten(made.params)
  for name, leaf in trees.flatten(found.params).items():
    np.testing.assert_array_equal(leaf, wanted[name])
  assert path.is_file()


def nan():
  return damaged.edited(
    lambda header, manifest, payload: np.float32('nan').tobytes() + payload[4:],
    small.drawn(small.PIXELS),
  )


def huge():
  def change(header, manifest, payload):
    del manifest, payload
    name = next(n for n in header if n.startswith('generator/'))
    header[name]['shape'] = [2_500_000_000]

  return damaged.edited(change, small.drawn(small.PIXELS))


@pytest.mark.parametrize(
  ('data', 'message'),
  [
    (lambda: b'\x80\x04K\x01.', 'a pickle, which is never loaded'),
    (nan, 'not finite'),
    (huge, '2500000000'),
    (lambda: bundle.encode(small.drawn(small.IMAGES)), 'node 1 has network'),
    (lambda: bytes(1 << 21), 'bytes, more than'),
  ],
  ids=['pickle', 'nan', 'claim', 'network', 'large'],
)
def test_other_files_are_refused_and_not_kept(tmp_path, data, message):
  path = tmp_path / 'a.safetensors'
  with pytest.raises(ValueError, match=message) as error:
    barycenter_nodes.received(content(data()), small.PIXELS, path, 'node 1')
  assert '\n' not in str(error.value) and not os.listdir(tmp_path)


def node(k, data, got):
  """A node that sends these bytes, and notes what it gets."""

  def evaluate(given):
    got.append((k, given.arrays['bundle'].data))
    return exchange.Content({}, {})

  return {
    'query': lambda _: exchange.Content({}, {'position': k}),
    'train': lambda _: content(data),
    'evaluate': evaluate,
  }


@pytest.mark.slow
def test_the_barycenter_of_good_bundles_goes_back_to_all_nodes(tmp_path):
  values = barycenter_nodes.values(settings.coalescence(), str(tmp_path))
  assert values['nodes'] == 3 and values['image-shape'] == '8,8,1'
  own = barycenter_nodes.make(values, {'partition-id': 0})
  asked = exchange.Content({}, {'key': [0, 1]})
  good, got = own['train'](asked).arrays['bundle'].data, []
  channel = channels.channel(
    {5: node(0, good, got), 6: node(1, good, got), 7: node(2, b'{}', got)}
  )
  barycenter_nodes.lead(channel, {**values, 'wait': 0.0})
  meta = (tmp_path / 'meta.safetensors').read_bytes()
  assert got == [(0, meta), (1, meta), (2, meta)]
  summary = json.loads((tmp_path / 'summary.json').read_text())
  assert summary['nodes'] == [0, 1] and summary['returned_to'] == [0, 1, 2]
  assert summary['refused'][0].startswith('node 2: ')
  # A node keeps it where its settings say.
  kept = tmp_path / 'kept' / 'mine.safetensors'
  mine = barycenter_nodes.make(values, {'partition-id': 1, 'out': str(kept)})
  mine['evaluate'](content(meta))
  assert kept.read_bytes() == meta


def test_one_bundle_is_too_few_for_a_barycenter(tmp_path):
  values = barycenter_nodes.values(settings.coalescence(), str(tmp_path))
  channel = channels.channel({5: node(0, b'{}', [])})
  with pytest.raises(ValueError, match='of 0 nodes can be used.*node 0: '):
    barycenter_nodes.lead(channel, {**values, 'wait': 0.0})


def test_images_of_a_node_stay_at_the_node(tmp_path):
  values = barycenter_nodes.values(settings.coalescence(), str(tmp_path))
  handlers = barycenter_nodes.make(values, {'partition-id': 1})
  answer = handlers['query'](exchange.Content({}, {}))
  # Of the digit 1 of the training split.
  assert answer.arrays == {} and answer.values['position'] == 1
  assert 100 < answer.values['num-examples'] < 182
  with pytest.raises(ValueError, match="neither 'data' nor 'partition-id'"):
    barycenter_nodes.make(values, {})
