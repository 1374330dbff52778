"""The networks of image translation in PyTorch, as the public code has them.

Layers and their order are those of `coalesce_jax.networks.unet`, `resnet` and
`patchgan` with instance norms, and so are the names of the layers.

Shapes: B batch, images `[B, C, H, W]` as PyTorch has them.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from coalesce_jax.translation import settings
from experiments.speed import torch_arrays
from experiments.speed import translator_shapes

CHANNELS = translator_shapes.CHANNELS
KERNEL = translator_shapes.KERNEL


class Layers(nn.Module):
  """A network whose layers have names.

  Attributes:
    layers: by name.
  """

  def __init__(self):
    super().__init__()
    self.layers = nn.ModuleDict()

  def add(self, name: str, layer: Any, norm: str = '') -> None:
    """Adds a convolution, and an instance norm of its result by name."""
    self.layers[name] = layer
    if norm:
      self.layers[norm] = nn.InstanceNorm2d(
        layer.out_channels, eps=1e-5, affine=True
      )

  def convolved(
    self, name: str, x: torch.Tensor, norm: str = ''
  ) -> torch.Tensor:
    """Applies a convolution, and its norm where there is one of that name."""
    x = self.layers[name](x)
    return self.layers[norm](x) if norm in self.layers else x


class UNet(Layers):
  """`[B, 3, H, W]` -> `[B, 3, H, W]`."""

  def __init__(self, networks: settings.Networks):
    super().__init__()
    features = translator_shapes.widths(networks.ngf, networks.downs)
    self.last = networks.downs - 1
    before = CHANNELS
    for i, after in enumerate(features):
      normed = 0 < i < self.last
      conv = nn.Conv2d(before, after, KERNEL, 2, 1, bias=not normed)
      self.add(f'down_{i}', conv, f'down_norm_{i}' if normed else '')
      before = after
    for i, joined in enumerate(translator_shapes.joined_widths(features)):
      after = features[i - 1] if i else CHANNELS
      conv = nn.ConvTranspose2d(joined, after, KERNEL, 2, 1, bias=not i)
      self.add(f'up_{i}', conv, f'up_norm_{i}' if i else '')

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    maps = []
    for i in range(self.last + 1):
      # Maps of the way down are joined before a ReLU, to which it is the same
      # that they have passed a leaky one in place.
      x = functional.leaky_relu(x, 0.2, inplace=True) if i else x
      x = self.convolved(f'down_{i}', x, f'down_norm_{i}')
      maps.append(x)
    for i in range(self.last, -1, -1):
      x = torch.cat([maps[i], x], 1) if i < self.last else x
      x = functional.relu(x, inplace=True)
      x = self.convolved(f'up_{i}', x, f'up_norm_{i}')
    return torch.tanh(x)


class ResNet(Layers):
  """`[B, 3, H, W]` -> `[B, 3, H, W]`."""

  def __init__(self, networks: settings.Networks):
    super().__init__()
    width, self.blocks = networks.ngf, networks.blocks
    wide = 4 * width
    self.add('stem', nn.Conv2d(CHANNELS, width, 7, bias=False), 'stem_norm')
    for i, before in enumerate((width, 2 * width)):
      conv = nn.Conv2d(before, 2 * before, 3, 2, 1, bias=False)
      self.add(f'down_{i}', conv, f'down_norm_{i}')
    for i in range(self.blocks):
      for j in range(2):
        conv = nn.Conv2d(wide, wide, 3, bias=False)
        self.add(f'block_{i}_conv_{j}', conv, f'block_{i}_norm_{j}')
    for i, before in enumerate((wide, 2 * width)):
      conv = nn.ConvTranspose2d(before, before // 2, 3, 2, 1, 1, bias=False)
      self.add(f'up_{i}', conv, f'up_norm_{i}')
    self.add('out', nn.Conv2d(width, CHANNELS, 7))

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = self._active('stem', _reflected(x, 3), 'stem_norm')
    for i in range(2):
      x = self._active(f'down_{i}', x, f'down_norm_{i}')
    for i in range(self.blocks):
      name, norm = f'block_{i}_conv_', f'block_{i}_norm_'
      y = self._active(f'{name}0', _reflected(x, 1), f'{norm}0')
      x = x + self.convolved(f'{name}1', _reflected(y, 1), f'{norm}1')
    for i in range(2):
      x = self._active(f'up_{i}', x, f'up_norm_{i}')
    return torch.tanh(self.convolved('out', _reflected(x, 3)))

  def _active(self, name: str, x: torch.Tensor, norm: str) -> torch.Tensor:
    return functional.relu(self.convolved(name, x, norm), inplace=True)


class PatchGan(Layers):
  """`[B, C, H, W]` -> scores of patches `[B, 1, H', W']`."""

  def __init__(self, networks: settings.Networks, channels: int):
    super().__init__()
    self.strided = networks.n_layers_d
    features = translator_shapes.widths(networks.ndf, self.strided + 1)
    for i, after in enumerate(features):
      stride = 2 if i < self.strided else 1
      conv = nn.Conv2d(channels, after, KERNEL, stride, 1, bias=not i)
      self.add(f'conv_{i}', conv, f'norm_{i}' if i else '')
      channels = after
    self.add('head', nn.Conv2d(channels, 1, KERNEL, 1, 1))

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for i in range(self.strided + 1):
      x = self.convolved(f'conv_{i}', x, f'norm_{i}')
      x = functional.leaky_relu(x, 0.2, inplace=True)
    return self.layers['head'](x)


def generator(networks: settings.Networks) -> Layers:
  """Returns a translator of images with three channels."""
  return UNet(networks) if networks.net_g == 'unet' else ResNet(networks)


def load(module: Layers, params: Any) -> None:
  """Copies our parameters, with kernels `[k, k, C, F]`, by their names.

  Raises:
    ValueError: the names differ.
  """
  if set(params) != set(module.layers):
    raise ValueError(
      f'layers differ: {sorted(set(params) ^ set(module.layers))}'
    )
  for name, layer in module.layers.items():
    values = params[name].get('conv', params[name])
    if 'kernel' in values:
      transposed = isinstance(layer, nn.ConvTranspose2d)
      axes = (2, 3, 0, 1) if transposed else (3, 2, 0, 1)
      torch_arrays.assign(
        layer.weight, np.asarray(values['kernel']).transpose(axes)
      )
      if layer.bias is not None:
        torch_arrays.assign(layer.bias, values['bias'])
    else:
      torch_arrays.assign(layer.weight, values['scale'])
      torch_arrays.assign(layer.bias, values['shift'])


def _reflected(x: torch.Tensor, edge: int) -> torch.Tensor:
  return functional.pad(x, (edge,) * 4, 'reflect')
