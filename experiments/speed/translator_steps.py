"""The steps of pix2pix and of CycleGAN in PyTorch, as their users write them.

They follow the public code of both but for one thing. It updates the generators
of CycleGAN before the critics; here the critics come first, as in ours. The
products are the same in both orders.

Two things are left as they are on each side, and cost next to nothing. Ours
draws the real images of the critics apart from those that are translated; here
they are the same. Ours averages its generators and records more.

Shapes: B batch, K critics, images `[B, 3, H, W]` in [-1, 1].
"""

import abc
import functools
import random
from typing import Any

import jax
import torch
from torch.nn import functional

from coalesce_jax.translation import settings
from experiments.speed import torch_arrays
from experiments.speed import translators

_ALIKE = {'norm': 'instance', 'upsampling': 'transposed', 'dropout': 0.0}


class Trainer(abc.ABC):
  """The networks of a method, their optimisers, and one step.

  Attributes:
    losses: of the last step, by the name of our metric; of the K critics in our
      order, or one number.
  """

  def __init__(
    self,
    config: settings.Translation,
    *,
    channels_last: bool = False,
    device: str = 'cpu',
  ):
    """Starts with nothing to train.

    Args:
      config: settings of the method.
      channels_last: whether maps lie with the channels last.
      device: of PyTorch.

    Raises:
      ValueError: the settings are not those that PyTorch has here.
    """
    for name, value in _ALIKE.items():
      if getattr(config.networks, name) != value:
        raise ValueError(f'{name}: only {value!r} is written in PyTorch')
    self.config: Any = config
    self.device = torch.device(device)
    self._format = (
      torch.channels_last if channels_last else torch.contiguous_format
    )
    self.losses: dict[str, list[torch.Tensor]] = {}

  def placed(self, module: translators.Layers, params: Any) -> Any:
    """Returns a network with our parameters, on the device."""
    translators.load(module, params)
    return module.to(self.device, memory_format=self._format)

  def optimizer(self, *modules: Any) -> torch.optim.Adam:
    """Returns the optimiser of some networks."""
    parameters = [p for module in modules for p in module.parameters()]
    return torch.optim.Adam(
      parameters, lr=self.config.learning_rate, eps=1e-8, fused=True,
      betas=(self.config.beta1, 0.999),
    )  # fmt: skip

  def step(self, a: torch.Tensor, b: torch.Tensor) -> None:
    """One update of the critics, and one of the generators.

    Args:
      a: conditions, or images of the first domain.
      b: targets, or images of the second.
    """
    torch_arrays.round_factors(False)
    a, b = (x.contiguous(memory_format=self._format) for x in (a, b))
    self.losses = self._step(a, b)

  @abc.abstractmethod
  def _step(
    self, a: torch.Tensor, b: torch.Tensor
  ) -> dict[str, list[torch.Tensor]]:
    """Takes a step and returns its losses."""


class Pix2pix(Trainer):
  """pix2pix: Eq. 4 of Isola et al., https://arxiv.org/abs/1611.07004.

  The public code halves the critic's loss, which Adam does not see.
  """

  def __init__(self, config: settings.Pix2pix, state: Any, **options: Any):
    super().__init__(config, **options)
    self._adversarial = _loss(config)
    self._generator = self.placed(
      translators.generator(config.networks), state.generator
    )
    self._critic = self.placed(
      translators.PatchGan(config.networks, 2 * translators.CHANNELS),
      _member(state.critics, 0),
    )
    self._of_generator = self.optimizer(self._generator)
    self._of_critic = self.optimizer(self._critic)

  def _step(
    self, a: torch.Tensor, b: torch.Tensor
  ) -> dict[str, list[torch.Tensor]]:
    fake = self._generator(a)
    _require(True, self._critic)
    self._of_critic.zero_grad(set_to_none=True)
    fakes = self._critic(torch.cat([a, fake.detach()], 1))
    reals = self._critic(torch.cat([a, b], 1))
    loss = self._adversarial(fakes, 0.0) + self._adversarial(reals, 1.0)
    (0.5 * loss).backward()
    self._of_critic.step()
    _require(False, self._critic)
    self._of_generator.zero_grad(set_to_none=True)
    score = self._critic(torch.cat([a, fake], 1))
    l1 = self.config.lambda_l1 * functional.l1_loss(fake, b)
    (self._adversarial(score, 1.0) + l1).backward()
    self._of_generator.step()
    return {'train_gap': [_gap(reals, fakes)], 'term/l1': [l1.detach()]}


class CycleGan(Trainer):
  """CycleGAN: Eq. 3 of Zhu et al., https://arxiv.org/abs/1703.10593."""

  def __init__(self, config: settings.CycleGan, state: Any, **options: Any):
    super().__init__(config, **options)
    self._adversarial = _loss(config)
    self._ab, self._ba = (
      self.placed(translators.generator(config.networks), state.generator[name])
      for name in ('ab', 'ba')
    )
    # The critic of B is the first one.
    self._critics = [
      self.placed(
        translators.PatchGan(config.networks, translators.CHANNELS),
        _member(state.critics, k),
      )
      for k in range(2)
    ]
    self._pools = [Pool(config.pool_size) for _ in range(2)]
    self._of_generators = self.optimizer(self._ab, self._ba)
    self._of_critics = self.optimizer(*self._critics)

  def _step(
    self, a: torch.Tensor, b: torch.Tensor
  ) -> dict[str, list[torch.Tensor]]:
    fake_b, fake_a = self._ab(a), self._ba(b)
    back_a, back_b = self._ba(fake_b), self._ab(fake_a)
    _require(True, *self._critics)
    self._of_critics.zero_grad(set_to_none=True)
    gaps = []
    for critic, pool, real, fake in zip(
      self._critics, self._pools, (b, a), (fake_b, fake_a), strict=True
    ):
      reals, fakes = critic(real), critic(pool.exchange(fake.detach()))
      loss = self._adversarial(reals, 1.0) + self._adversarial(fakes, 0.0)
      (0.5 * loss).backward()
      gaps.append(_gap(reals, fakes))
    self._of_critics.step()
    _require(False, *self._critics)
    self._of_generators.zero_grad(set_to_none=True)
    l1 = functional.l1_loss
    cycle = self.config.lambda_cycle * (l1(back_a, a) + l1(back_b, b))
    loss, losses = cycle, {'train_gap': gaps, 'term/cycle': [cycle.detach()]}
    if self.config.lambda_identity:
      weight = self.config.lambda_cycle * self.config.lambda_identity
      identity = weight * (l1(self._ab(b), b) + l1(self._ba(a), a))
      loss, losses['term/identity'] = loss + identity, [identity.detach()]
    for critic, fake in zip(self._critics, (fake_b, fake_a), strict=True):
      loss = loss + self._adversarial(critic(fake), 1.0)
    loss.backward()
    self._of_generators.step()
    return losses


class Pool:
  """Old fakes that a critic sees again, image by image."""

  def __init__(self, size: int):
    self._size = size
    self._images: list[torch.Tensor] = []
    self._random = random.Random(0)

  def exchange(self, fakes: torch.Tensor) -> torch.Tensor:
    """Returns new fakes or old ones, in whose place the new ones are kept."""
    if not self._size:
      return fakes
    seen = []
    for fake in fakes.split(1):
      if len(self._images) < self._size:
        self._images.append(fake)
      elif self._random.random() > 0.5:
        place = self._random.randrange(self._size)
        fake, self._images[place] = self._images[place], fake
      seen.append(fake)
    return torch.cat(seen)


TRAINERS: dict[str, Any] = {'pix2pix': Pix2pix, 'cyclegan': CycleGan}


def draw(
  first: torch.Tensor, second: torch.Tensor, batch: int, paired: bool
) -> tuple[torch.Tensor, torch.Tensor]:
  """Draws the images of one step, from 8-bit images `[N, C, H, W]`.

  Args:
    first: conditions, or the first domain.
    second: targets, or the second domain.
    batch: B.
    paired: whether both have the same rows.
  """
  rows = functools.partial(
    torch.randint, len(first), (batch,), device=first.device
  )
  index = rows()
  others = index if paired else rows()
  a, b = first[index], second[others]
  return a.float() / 127.5 - 1.0, b.float() / 127.5 - 1.0


def _loss(config: settings.Translation) -> Any:
  """Returns ``(scores, label) -> loss``, a mean over patches."""
  losses = {
    'vanilla': functional.binary_cross_entropy_with_logits,
    'lsgan': functional.mse_loss,
  }
  if config.gan_mode not in losses:
    raise ValueError(f'gan_mode: only {tuple(losses)} are written in PyTorch')
  loss = losses[config.gan_mode]
  return lambda scores, label: loss(scores, torch.full_like(scores, label))


def _member(critics: Any, k: int) -> Any:
  return jax.tree.map(lambda leaf: leaf[k], critics)


@torch.no_grad()
def _gap(reals: torch.Tensor, fakes: torch.Tensor) -> torch.Tensor:
  return reals.mean() - fakes.mean()


def _require(wanted: bool, *modules: Any) -> None:
  for module in modules:
    module.requires_grad_(wanted)
