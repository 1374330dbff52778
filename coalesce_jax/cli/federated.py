"""Federated meta-learning: federated run, federated adapt."""

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.data import images as images_lib
from coalesce_jax.data import pixels
from coalesce_jax.data import user_data
from coalesce_jax.federated import classifier
from coalesce_jax.federated import classifier_files
from coalesce_jax.federated import learn
from coalesce_jax.pipeline import federated_run

# Images that are classified at once.
_BATCH = 500


def run(values: Values, stop: Stop) -> dict[str, Any]:
  """Learns the meta-parameters of a configuration."""
  if values.out:
    outputs.file('out', values.out, outputs.BUNDLE)
    outputs.check_workdir(values.workdir, (values.out,))
  return federated_run.run(
    values.config, values.workdir, values.out, stop, values.track or ()
  )


def adapt(values: Values, stop: Stop) -> dict[str, Any]:
  """Adapts meta-parameters to labelled images in one step."""
  del stop
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input('out', values.out, meta=[values.meta])
  meta = classifier_files.load_meta(values.meta)
  spec = meta.spec
  images, labels, names = _labelled(values.local, meta)
  support = _support(values, labels, names)
  made = learn.adapt_one_step(
    meta, images[support], labels[support], names=names
  )
  classifier_files.save(values.out, made.static)
  held = images[~support], labels[~support]
  small = made.static.spec
  opened = [int(mask.sum()) for mask in made.masks]
  whole = classifier.dense(spec)
  return {
    'classifier': values.out,
    'bytes': pathlib.Path(values.out).stat().st_size,
    'classes': list(names),
    'adapted_to': int(support.sum()),
    'held_out': int((~support).sum()),
    'accuracy': _accuracy(made.static, *held),
    'accuracy_gated': _accuracy(made.gated, *held),
    'accuracy_before': _accuracy(
      classifier.Classifier(spec, meta.params), *held
    ),
    'open_channels': opened,
    'channels': list(spec.widths),
    'macs': classifier.total(small),
    'macs_all': whole,
    'share': round(classifier.total(small) / whole, 4),
  }


def _labelled(
  path: str, meta: learn.Meta
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
  """Returns images, labels from 0 on, and the names of labels.

  Labels are numbered in order, unless they mean the same at all nodes.
  """
  spec = meta.spec
  images, found = images_lib.load(path, spec.image_shape)
  if found is None:
    raise ValueError(
      f'--local={path}: there are no labels; give it one sub-folder a class, '
      "or an array 'labels' in the .npz"
    )
  by_label = {label: name for name, label in user_data.classes(path).items()}
  present = [int(k) for k in np.unique(found)]
  if len(present) > spec.classes:
    raise ValueError(
      f'--local={path}: {len(present)} classes, the network of --meta tells '
      f'{spec.classes} apart; leave some out'
    )
  if meta.fixed:
    user_data.check_numbered(path)
    if present[0] < 0 or present[-1] >= spec.classes:
      raise ValueError(
        f'--local={path}: labels {present[0]} to {present[-1]}; those of '
        f'--meta are 0 to {spec.classes - 1}, and mean the same at all nodes'
      )
    names = [by_label.get(k, str(k)) for k in range(present[-1] + 1)]
    return images, found, tuple(names)
  labels = np.searchsorted(present, found)
  return images, labels, tuple(by_label.get(k, str(k)) for k in present)


def _support(
  values: Values, labels: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
  """Returns which images are adapted to, some of each class, booleans."""
  order = np.random.default_rng(values.seed).permutation(len(labels))
  ranks = np.empty(len(labels), int)
  ranks[order] = user_data.ranks(labels[order])
  support = ranks < values.shots
  for k in np.unique(labels):
    count = int((labels == k).sum())
    if count <= values.shots:
      raise ValueError(
        f'--local={values.local}: class {names[k]!r} has {count} images, and '
        f'--shots={values.shots} leaves none to measure the accuracy; add '
        'images or lower --shots'
      )
  return support


def _accuracy(
  model: classifier.Classifier, images: np.ndarray, labels: np.ndarray
) -> float:
  """Returns the share of images that a classifier classifies right."""
  right = 0
  for i in range(0, len(images), _BATCH):
    some = pixels.decode(jnp.asarray(images[i : i + _BATCH]))
    guess = np.asarray(model.logits(some)).argmax(-1)
    right += int((guess == labels[i : i + _BATCH]).sum())
  return round(right / len(images), 4)
