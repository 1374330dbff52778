"""Trains one feature network and stores it with its test accuracy."""

import pathlib
from typing import Any

import numpy as np

from coalesce_jax.data import datasets
from coalesce_jax.metrics import classifier_features
from coalesce_jax.metrics import features


def run(config: Any, workdir: str) -> dict[str, Any]:
  """Trains, rounds to float16, measures, writes `<dataset>.npz`.

  Args:
    config: see `configs/default.py`.
    workdir: folder of the result.

  Returns:
    Data set, path, bytes and accuracy on the test split, after rounding.
  """
  train, test = (
    datasets.load(config.dataset, split, config.data_dir or None)
    for split in datasets.SPLITS
  )
  assert train.labels is not None
  made = classifier_features.fit(
    train.images,
    train.labels,
    name=config.dataset,
    seed=config.seed,
    epochs=config.epochs,
    width=config.width,
    learning_rate=config.learning_rate,
    shift=config.shift,
    flip=config.flip,
  )
  path = pathlib.Path(workdir) / f'{config.dataset}.npz'
  classifier_features.write(path, made)
  rounded = classifier_features.read(path, config.dataset)
  value = accuracy(rounded, test)
  classifier_features.write(path, rounded._replace(accuracy=value))
  return {
    'dataset': config.dataset,
    'path': str(path),
    'bytes': path.stat().st_size,
    'accuracy': value,
  }


def accuracy(network: features.Features, data: datasets.Dataset) -> float:
  """Fraction of images whose most probable class is their label."""
  _, probabilities = features.extract(network, data.images)
  return float(np.mean(probabilities.argmax(-1) == data.labels))
