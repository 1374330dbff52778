"""The peer: the same WGAN-GP in PyTorch, as its users write it.

Modules, optimiser and loop are what PyTorch's own documentation advises:
`torch.optim.Adam(fused=True)`, `torch.autograd.grad(create_graph=True)` for the
penalty; and for `torch.compile`, which cannot compile a double backward,
`torch.func.grad` inside of it.

Shapes: B batch, Z latent, images `[B, C, H, W]` as PyTorch has them.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.speed import shapes
from experiments.speed import torch_arrays

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Parameters = dict[str, torch.Tensor]


class Generator(nn.Module):
  """`[B, Z]` -> `[B, C, H, W]`."""

  def __init__(self, network: shapes.Network):
    super().__init__()
    size, channels = network.base, network.features[0]
    self.start = (channels, size, size)
    self.project = nn.Linear(network.latent_size, channels * size**2, False)
    self.bias = nn.Parameter(torch.zeros(channels))
    sizes = [*network.features, network.channels]
    self.ups = nn.ModuleList(
      nn.ConvTranspose2d(a, b, 4, 2, 1)
      for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    )
    # One group normalises over channels and pixels, as 'layer' does.
    self.norms = nn.ModuleList(
      nn.GroupNorm(1, a, eps=1e-6) for a in network.features
    )

  def forward(self, z: torch.Tensor) -> torch.Tensor:
    x = self.project(z).view(-1, *self.start) + self.bias[:, None, None]
    for norm, up in zip(self.norms, self.ups, strict=True):
      x = up(functional.relu(norm(x)))
    return torch.tanh(x)


class Critic(nn.Module):
  """`[B, C, H, W]` -> `[B]`."""

  def __init__(self, network: shapes.Network):
    super().__init__()
    sizes = [network.channels, *network.critic_features]
    self.convs = nn.ModuleList(
      nn.Conv2d(a, b, 4, 2, 1)
      for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    )
    self.head = nn.Linear(sizes[-1] * network.base**2, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for conv in self.convs:
      x = functional.leaky_relu(conv(x), 0.2)
    return self.head(x.flatten(1))[:, 0]


class Trainer:
  """One model: networks, optimisers, and one step of the game.

  Attributes:
    generator: the generator.
    critic: its critic.
    optimizer: makes an optimiser of some parameters.
    rounded: whether a GPU may round factors of products.
    losses: (critic gap, penalty, generator loss) of the last step.
  """

  def __init__(
    self,
    network: shapes.Network,
    generator: Any,
    critic: Any,
    *,
    learning_rate: float = 1e-4,
    beta1: float = 0.0,
    beta2: float = 0.9,
    compiled: str = '',
    autocast: bool = False,
    rounded: bool = False,
    device: str = 'cpu',
  ):
    """Starts from our parameters.

    Args:
      network: sizes.
      generator: parameters of `networks.dcgan.Generator`.
      critic: parameters of `networks.dcgan.Critic`.
      learning_rate: of both.
      beta1: of both.
      beta2: of both.
      compiled: the mode of `torch.compile`; empty is without it.
      autocast: networks in bfloat16 by `torch.autocast`.
      rounded: factors of products in tensorfloat32, on a GPU.
      device: of PyTorch.
    """
    self.device = torch.device(device)
    self.generator = Generator(network)
    self.critic = Critic(network)
    load_generator(self.generator, generator)
    load_critic(self.critic, critic, network)
    self.generator.to(self.device)
    self.critic.to(self.device)
    self._autocast = autocast
    self.rounded = rounded
    self.optimizer = functools.partial(
      torch.optim.Adam, lr=learning_rate, betas=(beta1, beta2), eps=1e-8,
      fused=True,
    )  # fmt: skip
    self._of_generator = self.optimizer(self.generator.parameters())
    self._of_critic = self.optimizer(self.critic.parameters())
    self.losses: list[torch.Tensor] = []
    self._critic_gradients = torch.func.grad(self.critic_loss, has_aux=True)
    self._generator_gradients = torch.func.grad(
      self.generator_loss, has_aux=True
    )
    self._compiled = bool(compiled)
    if compiled:
      compile_ = functools.partial(_compiled, mode=compiled)
      self._critic_gradients = compile_(self._critic_gradients)
      self._generator_gradients = compile_(self._generator_gradients)
      self._generate = compile_(self._generate_eagerly)
    else:
      self._generate = self._generate_eagerly

  def step(self, batches: list[Batch], z: torch.Tensor) -> None:
    """Critic updates, one a batch of (real, z, t), then one of the generator.

    Args:
      batches: real images `[B, C, H, W]`, latents `[B, Z]`, and positions of
        the points of the penalty `[B, 1, 1, 1]`.
      z: latents of the generator's update, `[B, Z]`.
    """
    torch_arrays.round_factors(self.rounded)
    for real, latents, t in batches:
      fake = self._generate(latents)
      points = t * real + (1.0 - t) * fake
      if self._compiled:
        gradients, (gap, penalty) = self._critic_gradients(
          dict(self.critic.named_parameters()), real, fake, points
        )
        torch_arrays.set_gradients(self.critic, gradients)
      else:
        gap, penalty = self._eager_critic(real, fake, points)
      self._of_critic.step()
    if self._compiled:
      gradients, (value,) = self._generator_gradients(
        dict(self.generator.named_parameters()), z
      )
      torch_arrays.set_gradients(self.generator, gradients)
    else:
      self._of_generator.zero_grad(set_to_none=True)
      with self._precision():
        value = -self.critic(self.generator(z)).float().mean()
      value.backward()
    self._of_generator.step()
    self.losses = [gap.detach(), penalty.detach(), value.detach()]

  def _eager_critic(
    self, real: torch.Tensor, fake: torch.Tensor, points: torch.Tensor
  ) -> tuple[torch.Tensor, torch.Tensor]:
    self._of_critic.zero_grad(set_to_none=True)
    points.requires_grad_(True)
    with self._precision():
      gap = self.critic(real).float().mean() - self.critic(fake).float().mean()
      score = self.critic(points).float().sum()
    (gradient,) = torch.autograd.grad(score, points, create_graph=True)
    penalty = _penalty(gradient)
    (10.0 * penalty - gap).backward()
    return gap, penalty

  def _precision(self) -> Any:
    return torch.autocast(
      self.device.type, torch.bfloat16, enabled=self._autocast
    )

  @torch.no_grad()
  def _generate_eagerly(self, z: torch.Tensor) -> torch.Tensor:
    with self._precision():
      return self.generator(z).float()

  def generate(self, parameters: Parameters, z: torch.Tensor) -> torch.Tensor:
    """Samples as a function of the generator's parameters."""
    with self._precision():
      return torch.func.functional_call(
        self.generator, parameters, (z,)
      ).float()

  def critic_loss(
    self,
    parameters: Parameters,
    real: torch.Tensor,
    fake: torch.Tensor,
    points: torch.Tensor,
  ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """(loss, (gap, penalty)) as a function of the critic's parameters."""

    def score(x):
      with self._precision():
        return torch.func.functional_call(self.critic, parameters, (x,)).float()

    gap = score(real).mean() - score(fake).mean()
    gradient = torch.func.grad(lambda x: score(x).sum())(points)
    penalty = _penalty(gradient)
    return 10.0 * penalty - gap, (gap, penalty)

  def generator_loss(
    self,
    parameters: Parameters,
    z: torch.Tensor,
    critic: Parameters | None = None,
  ) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
    """(loss, (loss,)) as a function of the generator's parameters.

    Args:
      parameters: of the generator.
      z: latents.
      critic: its parameters; None are its own.
    """
    with self._precision():
      x = torch.func.functional_call(self.generator, parameters, (z,))
      score = torch.func.functional_call(self.critic, critic or {}, (x,))
      value = -score.float().mean()
    return value, (value,)


def load_generator(module: Generator, params: Any) -> None:
  """Copies our kernels `[k, k, C, F]` and projection `[Z, h, w, C]`."""
  kernel = np.asarray(params['project']['kernel'])
  torch_arrays.assign(
    module.project.weight,
    kernel.transpose(3, 1, 2, 0).reshape(-1, kernel.shape[0]),
  )
  torch_arrays.assign(module.bias, params['project']['bias'])
  last = len(module.ups) - 1
  for i, (norm, up) in enumerate(zip(module.norms, module.ups, strict=True)):
    torch_arrays.assign(norm.weight, params[f'norm_{i}']['scale'])
    torch_arrays.assign(norm.bias, params[f'norm_{i}']['shift'])
    layer = params['out' if i == last else f'up_{i + 1}']
    ups = np.asarray(layer['kernel']).transpose(2, 3, 0, 1)
    torch_arrays.assign(up.weight, ups)
    torch_arrays.assign(up.bias, layer['bias'])


def load_critic(module: Critic, params: Any, network: shapes.Network) -> None:
  """Copies our parameters; the head reads pixels in our order."""
  for i, conv in enumerate(module.convs):
    layer = params[f'conv_{i}']
    kernel = np.asarray(layer['kernel']).transpose(3, 2, 0, 1)
    torch_arrays.assign(conv.weight, kernel)
    torch_arrays.assign(conv.bias, layer['bias'])
  head = np.asarray(params['head']['kernel'])
  head = head.reshape(network.base, network.base, -1).transpose(2, 0, 1)
  torch_arrays.assign(module.head.weight, head.reshape(1, -1))
  torch_arrays.assign(module.head.bias, params['head']['bias'])


def draw(
  data: torch.Tensor, count: int, batch: int, latent_size: int
) -> tuple[list[Batch], torch.Tensor]:
  """Random input of one step, from 8-bit images `[N, C, H, W]`."""
  device = data.device
  batches = []
  for _ in range(count):
    index = torch.randint(len(data), (batch,), device=device)
    real = data[index].float() / 127.5 - 1.0
    z = torch.randn(batch, latent_size, device=device)
    batches.append((real, z, torch.rand(batch, 1, 1, 1, device=device)))
  return batches, torch.randn(batch, latent_size, device=device)


def _compiled(fn: Any, mode: str) -> Any:
  """A function by `torch.compile`, whose results the next call leaves alone."""
  # Of fixed sizes: else the double backward fails to compile on a GPU.
  fast = torch.compile(fn, dynamic=False, mode=mode)
  if mode != 'reduce-overhead':
    return fast

  def call(*args: Any) -> Any:
    torch.compiler.cudagraph_mark_step_begin()
    return torch.utils._pytree.tree_map(torch.clone, fast(*args))

  return call


def _penalty(gradient: torch.Tensor) -> torch.Tensor:
  norm = torch.sqrt(gradient.float().square().sum((1, 2, 3)) + 1e-12)
  return (norm - 1.0).square().mean()
