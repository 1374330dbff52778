"""The peer: meta-learning of a dense network in PyTorch, as its users write it.

`torch.func` gives the gradient of the step, the gradient through it, and nodes
side by side (`vmap`) or one after another (a loop).

Shapes: m nodes, B images of a task's support or query, N classes; images are
`[B, C, H, W]` as PyTorch has them.
"""

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from coalesce_jax.core import types
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import settings
from coalesce_jax.networks import gated

Tensors = dict[str, torch.Tensor]
# Images and labels of the support, and of the query.
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
# How nodes of a round are computed.
WAYS = ('vmap', 'loop')
# A smaller map is not halved.
_LEAST_SIDE = 4


class Conv4(nn.Module):
  """Maps images `[B, C, H, W]` to logits `[B, N]`."""

  def __init__(self, spec: classifier.Spec):
    super().__init__()
    inputs, side = spec.image_shape[2], spec.image_shape[0]
    convs: list[nn.Module] = []
    for width, sizes in zip(spec.widths, spec.groups, strict=True):
      stride = 2 if side >= _LEAST_SIDE else 1
      convs.append(nn.Conv2d(inputs, width, 3, stride, 1, bias=False))
      convs.append(nn.GroupNorm(len(sizes), width))
      inputs, side = width, -(-side // stride)
    self.convs = nn.ModuleList(convs[::2])
    self.norms = nn.ModuleList(convs[1::2])
    self.logits = nn.Linear(inputs * side**2, spec.classes)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for conv, norm in zip(self.convs, self.norms, strict=True):
      x = functional.relu(norm(conv(x)))
    return self.logits(x.flatten(1))


class Meta(NamedTuple):
  """Parameters by name, and logarithms of their step sizes."""

  params: Tensors
  rates: Tensors


def named(backbone: Mapping[str, Any]) -> Tensors:
  """Returns leaves of our backbone as PyTorch names and lays them.

  Args:
    backbone: arrays of the shapes of our leaves, or numbers for each.
  """

  def tensor(leaf: Any, order: tuple[int, ...] = ()) -> torch.Tensor:
    array = np.array(leaf, np.float32)
    if array.ndim and order:
      array = array.transpose(order)
    return torch.from_numpy(np.array(array, order='C'))

  found = {}
  for name, leaves in backbone.items():
    kind, _, index = name.partition('_')
    if kind == 'conv':
      found[f'convs.{index}.weight'] = tensor(leaves['kernel'], (3, 2, 0, 1))
    elif kind == 'norm':
      found[f'norms.{index}.weight'] = tensor(leaves['scale'])
      found[f'norms.{index}.bias'] = tensor(leaves['shift'])
    else:
      kernel = tensor(leaves['kernel'], (3, 2, 0, 1))
      found['logits.weight'] = kernel.flatten(1) if kernel.ndim else kernel
      found['logits.bias'] = tensor(leaves['bias'])
  return found


def batch(drawn: tasks.Task) -> Batch:
  """Returns m tasks `[m, ...]` of uint8 images as tensors."""
  found: list[torch.Tensor] = []
  for part in drawn:
    images = np.asarray(part.images, np.float32) / 127.5 - 1.0
    images = np.ascontiguousarray(np.moveaxis(images, -1, -3))
    labels = np.asarray(part.labels, np.int64)
    found += [torch.from_numpy(images), torch.from_numpy(labels)]
  a, b, c, d = found
  return a, b, c, d


class Trainer:
  """Meta-parameters, and rounds that change them.

  Attributes:
    meta: what nodes adapt.
    loss: weighted mean loss of the last round, in nats.
  """

  def __init__(
    self,
    spec: classifier.Spec,
    config: settings.Config,
    meta: types.Params,
    way: str,
  ):
    """Makes a trainer.

    Args:
      spec: a 'conv4' without gates.
      config: of it, whether derivatives are of second order, and the rate of
        Adam.
      meta: meta-parameters of ours.
      way: one of `WAYS`.
    """
    self._model = Conv4(spec)
    self._second, self._way = config.second_order, way
    self.meta = Meta(
      named(meta[gated.BACKBONE]),
      named(meta[meta_lib.RATES][gated.BACKBONE]),
    )
    rate = config.server_rate
    self._adam = torch.optim.Adam(
      [
        {'params': list(self.meta.params.values()), 'lr': rate},
        {
          'params': list(self.meta.rates.values()),
          'lr': rate * config.rates_factor,
        },
      ],
      fused=True,
    )
    self.loss = float('nan')

  def _entropy(
    self, params: Tensors, images: torch.Tensor, labels: torch.Tensor
  ) -> torch.Tensor:
    logits = torch.func.functional_call(self._model, params, (images,))
    return functional.cross_entropy(logits, labels)

  def _objective(self, meta: Meta, *node: torch.Tensor) -> Any:
    images, labels, others, answers = node
    gradient = torch.func.grad(self._entropy)(meta.params, images, labels)
    if not self._second:
      gradient = {k: g.detach() for k, g in gradient.items()}
    adapted = {
      k: v - meta.rates[k].exp() * gradient[k] for k, v in meta.params.items()
    }
    loss = self._entropy(adapted, others, answers)
    return loss, loss

  def gradient(
    self, nodes: Batch, weights: torch.Tensor
  ) -> tuple[Meta, torch.Tensor]:
    """Returns the weighted mean of the gradients of nodes, and of losses.

    Args:
      nodes: their tasks, `[m, ...]`.
      weights: weights of the nodes, whose sum is 1, `[m]`.
    """
    one = torch.func.grad(self._objective, has_aux=True)
    if self._way == 'vmap':
      each = torch.func.vmap(functools.partial(one, self.meta))
      gradients, losses = each(*nodes)
      mean = Meta(*(
        {k: torch.tensordot(weights, g, 1) for k, g in tree.items()}
        for tree in gradients
      ))  # fmt: skip
      return mean, weights @ losses
    total, loss = None, torch.zeros(())
    for weight, *node in zip(weights, *nodes, strict=True):
      found, value = one(self.meta, *node)
      loss = loss + weight * value
      total = Meta(*(
        {k: weight * g + (0.0 if total is None else total[i][k])
         for k, g in tree.items()}
        for i, tree in enumerate(found)
      ))  # fmt: skip
    assert total is not None
    return total, loss

  def round(self, nodes: Batch, weights: torch.Tensor) -> None:
    """Descends the mean loss of nodes by one step of Adam."""
    mean, loss = self.gradient(nodes, weights)
    for tree, gradients in zip(self.meta, mean, strict=True):
      for name, leaf in tree.items():
        # The fused Adam reads a gradient as if it lay like its parameter.
        leaf.grad = gradients[name].contiguous()
    self._adam.step()
    self.loss = float(loss)
