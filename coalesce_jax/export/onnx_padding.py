r"""Pads images by reflection and crops the results, within ONNX graphs.

Sides are computed when a graph runs, so that it takes images of any size. A
side n becomes m = max(least, multiple * ceil(n / multiple)), with
a = floor((m - n) / 2) pixels before the image. Position i of the padded image
holds the pixel

.. math:: r = \min(j, 2 (n - 1) - j), \quad j = (i - a) \bmod 2 (n - 1),

which also holds where an image is smaller than its padding. A side of one
pixel, which JAX refuses, repeats that pixel.

Shapes: B batch, H, W image, H', W' padded image, C, D channels.
"""

from typing import NamedTuple

import numpy as np

from coalesce_jax.export import onnx_layers as layers


class Frame(NamedTuple):
  """Names values of the graph: where images lie within padded ones.

  Attributes:
    before: pixels before the rows, and before the columns.
    sides: H and W.
  """

  before: tuple[str, str]
  sides: tuple[str, str]


def pad(
  graph: layers.Graph, images: str, multiple: int, least: int
) -> tuple[str, Frame]:
  """Writes the padding of images.

  Args:
    graph: the graph.
    images: name of the images, `[B, H, W, C]`.
    multiple: divisor of padded sides.
    least: smallest padded side, a multiple of `multiple`.

  Returns:
    The name of the padded maps `[B, C, H', W']`, and their frame.
  """
  whole = {
    value: layers.constant(graph, value, np.int64)
    for value in sorted({1, 2, multiple - 1, multiple, least})
  }
  shape = layers.node(graph, 'Shape', images)
  places = []
  for axis in (1, 2):
    side = layers.node(graph, 'Gather', shape, whole[axis])
    padded = layers.node(graph, 'Add', side, whole[multiple - 1])
    padded = layers.node(graph, 'Div', padded, whole[multiple])
    padded = layers.node(graph, 'Mul', padded, whole[multiple])
    padded = layers.node(graph, 'Max', padded, whole[least])
    more = layers.node(graph, 'Sub', padded, side)
    before = layers.node(graph, 'Div', more, whole[2])
    i = layers.node(
      graph,
      'Range',
      layers.node(graph, 'Neg', before),
      layers.node(graph, 'Sub', padded, before),
      whole[1],
    )
    period = layers.node(graph, 'Sub', side, whole[1])
    period = layers.node(graph, 'Mul', period, whole[2])
    # A division by 0 would end the process.
    divisor = layers.node(graph, 'Max', period, whole[1])
    i = layers.node(graph, 'Mod', i, divisor)
    i = layers.node(graph, 'Min', i, layers.node(graph, 'Sub', period, i))
    images = layers.node(graph, 'Gather', images, i, axis=axis)
    places.append((before, side))
  x = layers.node(graph, 'Transpose', images, perm=[0, 3, 1, 2])
  rows, columns = places
  return x, Frame((rows[0], columns[0]), (rows[1], columns[1]))


def crop(graph: layers.Graph, x: str, frame: Frame) -> str:
  """Writes the cropping of results.

  Args:
    graph: the graph.
    x: name of the padded results, `[B, D, H', W']`.
    frame: what `pad` returned.

  Returns:
    The name of the results `[B, H, W, D]`.
  """
  starts, sides = (
    layers.node(
      graph,
      'Concat',
      *(layers.reshape(graph, value, (1,)) for value in pair),
      axis=0,
    )
    for pair in frame
  )
  ends = layers.node(graph, 'Add', starts, sides)
  axes = layers.constant(graph, [1, 2], np.int64)
  return layers.node(graph, 'Slice', layers.swap(graph, x), starts, ends, axes)
