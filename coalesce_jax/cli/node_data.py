"""Reads the images of nodes by the flags of `pretrain` and `data`."""

from typing import NamedTuple

from absl import flags
from absl import logging
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.data import datasets
from coalesce_jax.data import partition
from coalesce_jax.data import shapes
from coalesce_jax.networks import registry

# A longer list of classes is counted: texts of bundles are at most 4096 long.
_MAX_CLASSES_TEXT = 2000


class Node(NamedTuple):
  """The data of one node.

  Attributes:
    images: uint8 `[N, H, W, C]`.
    classes: names of its classes, separated by commas; 'all' without labels.
  """

  images: np.ndarray
  classes: str


def wanted(values: flags.FlagValues, network: str) -> shapes.Wanted:
  """Returns what the flags say of the shape of images.

  Args:
    values: flags of `definitions.training.image_shape`.
    network: name of the network that shall make such images.

  Raises:
    ValueError: the size cannot be read.
  """
  try:
    size = shapes.parse_size(values.image_size)
  except ValueError as error:
    raise ValueError(f'--image_size: {error}') from None
  channels = int(values.channels) if values.channels else None
  return shapes.Wanted(size, channels, registry.sides(network))


def nodes(data: datasets.Dataset, split: str, given: bool) -> list[Node]:
  """Splits a data set by its classes; without labels it is one node.

  Args:
    data: the data set.
    split: see `partition.parse`.
    given: whether the user named the split; it is not the default.

  Raises:
    ValueError: the split cannot be read, names classes that are not there, or
      is given for data without labels.
  """
  if data.labels is None:
    if given:
      raise ValueError(
        f'--split={split}: {data.origin} has no labels; give it one sub-folder '
        "a class, or an array 'labels' in the .npz"
      )
    logging.info(
      '%s has no labels: one node learns all %d images',
      data.origin, len(data.images),
    )  # fmt: skip
    return [Node(data.images, 'all')]
  names = {label: files.shown(name) for name, label in data.classes.items()}
  made = []
  for classes in partition.parse(split, data.classes).nodes:
    try:
      rows = partition.indices(data.labels, classes)
    except ValueError as error:
      raise ValueError(f'--split={split}: {error}{_example(names)}') from None
    text = ','.join(names.get(k, str(k)) for k in classes)
    if len(text) > _MAX_CLASSES_TEXT:
      text = f'{len(classes)} classes'
    made.append(Node(data.images[rows], text))
  return made


def _example(names: dict[int, str]) -> str:
  if not names:
    return ''
  few = list(names.values())[:2]
  listed = f'{", ".join(names.values()):.100}'
  return (
    f", which are {listed}; name those of each node, such as --split='"
    f"{'|'.join(few)}->{','.join(few)}'"
  )
