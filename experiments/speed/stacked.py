"""The peer of an ensemble: S models as one by `torch.func.vmap`.

What PyTorch's documentation advises for ensembles: parameters stacked by
`torch.func.stack_module_state`, `vmap` over `grad` of a functional loss. One
fused Adam has all of them, since it treats every value alike.

Shapes: S members, B batch, Z latent, images `[S, B, C, H, W]`.
"""

from collections.abc import Sequence
import copy
import operator
from typing import Any

import jax
import numpy as np
import torch

from coalesce_jax.gan import game as game_lib
from coalesce_jax.trials import timing
from experiments.speed import agreement
from experiments.speed import peer
from experiments.speed import programs
from experiments.speed import shapes
from experiments.speed import torch_arrays


class Trainer:
  """S models: networks, optimisers, and one step of all their games.

  Attributes:
    losses: (critic gap, penalty, generator loss) of the last step, `[S]` each.
  """

  def __init__(self, members: Sequence[peer.Trainer]):
    """Stacks models.

    Args:
      members: that start alike but for their parameters; the first one's
        device, losses and options count.
    """
    first = members[0]
    self.device = first.device
    self._rounded = first.rounded
    self._generator, of_generator = _stacked([m.generator for m in members])
    self._critic, of_critic = _stacked([m.critic for m in members])
    # Networks without values, for their structure.
    loss = copy.copy(first)
    loss.generator, loss.critic = self._generator, self._critic
    self._adam_generator = first.optimizer(list(of_generator.values()))
    self._adam_critic = first.optimizer(list(of_critic.values()))
    self._of_generator, self._of_critic = of_generator, of_critic
    self._critic_gradients = torch.func.vmap(
      torch.func.grad(loss.critic_loss, has_aux=True)
    )
    self._generator_gradients = torch.func.vmap(
      torch.func.grad(
        lambda params, critic, z: loss.generator_loss(params, z, critic),
        has_aux=True,
      )
    )

    def generate(params: dict[str, torch.Tensor], z: torch.Tensor) -> Any:
      return loss.generate(params, z)

    self._generate = torch.func.vmap(generate)
    self.losses: list[torch.Tensor] = []

  def step(self, batches: list[peer.Batch], z: torch.Tensor) -> None:
    """As `peer.Trainer.step`, every array with a leading axis S."""
    torch_arrays.round_factors(self._rounded)
    for real, latents, t in batches:
      with torch.no_grad():
        fake = self._generate(self._of_generator, latents)
      points = t * real + (1.0 - t) * fake
      gradients, (gap, penalty) = self._critic_gradients(
        self._of_critic, real, fake, points
      )
      _give(self._of_critic, gradients)
      self._adam_critic.step()
    gradients, (value,) = self._generator_gradients(
      self._of_generator, self._of_critic, z
    )
    _give(self._of_generator, gradients)
    self._adam_generator.step()
    self.losses = [x.detach() for x in (gap, penalty, value)]


def draw(
  data: torch.Tensor, members: int, count: int, batch: int, latent_size: int
) -> tuple[list[peer.Batch], torch.Tensor]:
  """Random input of one step of all members, see `peer.draw`."""
  batches, z = peer.draw(data, count, members * batch, latent_size)
  return [
    tuple(x.unflatten(0, (members, batch)) for x in one) for one in batches
  ], z.unflatten(0, (members, batch))


def case(
  network: shapes.Network,
  config: game_lib.Config,
  images: np.ndarray,
  program: programs.Program,
  count: int,
  steps: int,
) -> timing.Case | None:
  """Steps of the peer, from the start of an ensemble of S members.

  Returns:
    The case, or None where a step does not fit into the device's memory.
  """
  state = jax.device_get(program.state)
  starts = [
    program._replace(state=jax.tree.map(operator.itemgetter(i), state))
    for i in range(count)
  ]
  rounded = config.precision == 'tensorfloat32'
  low = config.precision == 'bfloat16'
  trainer = Trainer(
    [
      agreement.trainer_of(
        network, config, start, rounded=rounded, autocast=low
      )
      for start in starts
    ]
  )
  data = torch_arrays.images(images, torch_arrays.device())

  def run() -> None:
    for _ in range(steps):
      trainer.step(
        *draw(
          data, count, config.critic_steps, config.batch_size,
          network.latent_size,
        )
      )  # fmt: skip
    torch_arrays.wait(trainer.device)

  try:
    run()
  except torch.OutOfMemoryError:
    return None
  return run


def _stacked(
  modules: Sequence[torch.nn.Module],
) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
  """A module without values, and the values of all, `[S, ...]` each."""
  params, _ = torch.func.stack_module_state(list(modules))
  return copy.deepcopy(modules[0]).to('meta'), params


def _give(
  params: dict[str, torch.Tensor], gradients: dict[str, torch.Tensor]
) -> None:
  for name, parameter in params.items():
    parameter.grad = gradients[name].contiguous()
