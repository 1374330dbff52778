"""Arrays and devices of PyTorch, which all peers share."""

from typing import Any

import jax
import numpy as np
import torch
from torch import nn


@torch.no_grad()
def assign(parameter: torch.Tensor, value: Any) -> None:
  """Copies an array into a parameter of the same shape."""
  parameter.copy_(torch.from_numpy(np.array(value, np.float32)))


def images(array: Any, device: str = 'cpu') -> torch.Tensor:
  """`[B, H, W, C]` as PyTorch has them."""
  array = np.array(np.asarray(array).transpose(0, 3, 1, 2), order='C')
  return torch.from_numpy(array).to(device)


def device() -> str:
  """Where PyTorch plays: on JAX's kind of device.

  Raises:
    ValueError: JAX has a GPU, and this PyTorch has none.
  """
  if jax.default_backend() != 'gpu':
    return 'cpu'
  if not torch.cuda.is_available():
    raise ValueError('JAX has a GPU, PyTorch does not: install one with CUDA')
  return 'cuda'


def round_factors(allowed: bool) -> None:
  """Whether GPUs may round factors of products to 11 bits (tensorfloat32)."""
  torch.backends.cuda.matmul.allow_tf32 = allowed
  torch.backends.cudnn.allow_tf32 = allowed


def wait(device: torch.device) -> None:
  """Returns when the device has done its work."""
  if device.type == 'cuda':
    torch.cuda.synchronize(device)


def set_gradients(
  module: nn.Module, gradients: dict[str, torch.Tensor]
) -> None:
  """Gives parameters their gradients, by name, for an optimiser's step."""
  for name, parameter in module.named_parameters():
    # The fused Adam reads a gradient as if it lay like its parameter, and
    # `torch.func` gives kernels with the channels last.
    parameter.grad = gradients[name].contiguous()
