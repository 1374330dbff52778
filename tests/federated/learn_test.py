"""Adaptation to local images, and the files of what is learned."""

import dataclasses
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import learn
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.models import bundle
from tests import small as generators
from tests.federated import small

META = learn.Meta(small.SPEC, small.params(small.SPEC))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def test_the_static_copy_classifies_as_the_masks_say():
  adapted = cj.federated.adapt_one_step(META, IMAGES, LABELS, names=('a', 'b'))
  images = IMAGES / np.float32(127.5) - 1.0
  masks = tuple(jnp.float32(mask) for mask in adapted.masks)
  closed = jax.jit(small.SPEC.build().apply)(
    adapted.gated.params, images, masks=masks
  )
  np.testing.assert_allclose(
    adapted.static.logits(images), closed.logits, atol=1e-5
  )
  assert adapted.static.names == ('a', 'b')
  assert adapted.static.spec.widths == (int(adapted.masks[0].sum()),)
  assert 0 < adapted.static.spec.widths[0] < 4
  assert adapted.loss[1] < adapted.loss[0]


def test_a_node_adapts_with_the_penalty_of_the_run(monkeypatch):
  run = small.config(rho=4.0, target=0.1, order='backbone_first')
  used = []

  def adapt(spec, config, params, batch):
    used.append((config.order, config.rho, config.target))
    return params

  monkeypatch.setattr(meta_lib, 'adapt', adapt)
  meta = learn.Meta.learned(META.spec, META.params, run)
  learn.adapt_one_step(meta, IMAGES, LABELS)
  assert used == [('backbone_first', 4.0, 0.1)]


@pytest.mark.parametrize(
  ('images', 'labels', 'message'),
  [
    (IMAGES[..., 0], LABELS, r'not \[B, 4, 4, 1\]'),
    (IMAGES[:0], LABELS[:0], 'images'),
    (IMAGES, LABELS[:5], 'not 6 whole numbers'),
    (IMAGES, LABELS / 2, 'not 6 whole numbers'),
    (IMAGES, LABELS + 1, 'from 1 to 2, the network has 2 outputs'),
    (IMAGES, LABELS - 1, 'from -1 to 0, the network has 2 outputs'),
    (IMAGES * np.nan, LABELS, 'images'),
  ],
)
def test_bad_images_and_labels_are_refused(images, labels, message):
  with pytest.raises(ValueError, match=message):
    learn.adapt_one_step(META, images, labels)


@pytest.mark.parametrize(
  ('shape', 'message'),
  [
    (tasks.Shape(2, 3, 3), 'a class of node 1 has 4 images, a task takes 6'),
    (tasks.Shape(3, 2, 2), 'node 0 has 2 classes, a task takes 3'),
  ],
)
def test_tasks_that_are_larger_than_nodes_are_refused(shape, message):
  spec = dataclasses.replace(small.SPEC, classes=3)
  with pytest.raises(ValueError, match=f'^validation: {message}'):
    learn.checked(spec, small.nodes(), shape, 'validation')
  fixed = shape._replace(shots=1, queries=1, relabelled=False)
  wide = small.nodes()._replace(
    counts=jnp.pad(small.nodes().counts, ((0, 0), (0, 1)))
  )
  learn.checked(spec, wide, fixed, 'nodes')


def static():
  masks = [np.array([True, False, True, True])]
  spec, params = classifier.static(META.spec, META.params, masks)
  return classifier.Classifier(spec, params, ('a', 'b'))


def test_files_give_back_what_was_saved(tmp_path):
  for name, model in (
    ('meta', META._replace(fixed=True, rho=0.5, target=0.25)),
    ('task', static()),
  ):
    path = tmp_path / f'{name}.safetensors'
    cj.federated.save(path, model)
    again = cj.federated.load(path)
    assert type(again) is type(model) and again.spec == model.spec
    assert classifier_files.encode(again) == path.read_bytes()
    assert classifier_files.describe(path)['kind'] == name
    assert name == 'task' or again[2:] == model[2:]
  assert again.names == ('a', 'b')
  with pytest.raises(bundle.BundleError, match='one task, which is adapted'):
    classifier_files.load_meta(path)
  with pytest.raises(bundle.BundleError, match='a gated classifier'):
    bundle.load(path)


def test_a_bundle_of_a_generator_is_no_classifier(tmp_path):
  path = tmp_path / 'gen.safetensors'
  bundle.save(path, generators.drawn(generators.VECTORS))
  with pytest.raises(bundle.BundleError, match='no gated classifier'):
    classifier_files.load(path)


def changed(data, change):
  """A file whose manifest is changed."""
  (length,) = struct.unpack('<Q', data[:8])
  header = json.loads(data[8 : 8 + length])
  manifest = json.loads(header['__metadata__']['coalesce_jax'])
  change(manifest, header)
  header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  text = json.dumps(header).encode()
  return struct.pack('<Q', len(text)) + text + data[8 + length :]


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda m, h: m.update(classifier_version=1), 'version 1'),
    (lambda m, h: m.update(kind='other'), 'kind'),
    (lambda m, h: m['step'].update(order='sideways'), 'order'),
    (lambda m, h: m['step'].update(rho=-1.0), 'rho -1.0 is negative'),
    (lambda m, h: m['step'].update(rho='1'), "rho is '1'"),
    (lambda m, h: m['step'].update(target=float('nan')), 'target nan'),
    (lambda m, h: m['step'].pop('target'), 'step of adaptation'),
    (lambda m, h: m.update(extra=1), 'has the fields'),
    (lambda m, h: m['step'].update(fixed=1), "fixed is '1'"),
    (lambda m, h: m['spec'].update(width=10**9), 'width 1000000000 is not in'),
    (lambda m, h: m['spec'].update(classes=10**9), 'classes'),
    (lambda m, h: m['spec'].update(widths=[8]), 'do not fill 8 channels'),
    (lambda m, h: m['spec'].update(widths=4), 'no short list'),
    (lambda m, h: m['spec'].update(groups=[[0, 4]]), 'a group 0'),
    (lambda m, h: m['spec'].pop('gates'), 'other fields'),
    (lambda m, h: m.update(names=['a', 'b', 'c']), '3 names of 2 classes'),
    (lambda m, h: m.update(names=[1]), 'no text'),
    (
      lambda m, h: h['backbone/logits/bias'].update(shape=[1, 2]),
      'its network has F32',
    ),
  ],
)
def test_a_file_that_promises_what_cannot_be_is_refused(
  tmp_path, change, message
):
  path = tmp_path / 'bad.safetensors'
  path.write_bytes(changed(classifier_files.encode(META), change))
  with pytest.raises(bundle.BundleError, match=message) as error:
    classifier_files.load(path)
  assert '\n' not in str(error.value)


def test_damaged_payloads_are_refused(tmp_path):
  path, data = tmp_path / 'bad.safetensors', classifier_files.encode(META)
  for bad, message in (
    (data[:-4], 'truncated'),
    (data[:-1] + bytes([data[-1] ^ 1]), 'sha256'),
    (b'', 'bad'),
  ):
    path.write_bytes(bad)
    with pytest.raises(bundle.BundleError, match=message):
      classifier_files.load(path)
  params = {**META.params, 'rates': {**META.params['rates']}}
  params['gates'] = {}
  with pytest.raises(ValueError, match="leaf 'gates/gate_0"):
    classifier_files.encode(META._replace(params=params))
  backbone = dict(META.params['backbone'])
  backbone['logits'] = {'kernel': np.full((4, 2), np.nan), 'bias': np.zeros(2)}
  with pytest.raises(ValueError, match='not finite'):
    classifier_files.encode(
      META._replace(params={**META.params, 'backbone': backbone})
    )
