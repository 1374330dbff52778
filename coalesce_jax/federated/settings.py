"""Defines the settings of federated meta-learning. It needs no JAX."""

import dataclasses
import math

from coalesce_jax.data import augmentation_names
from coalesce_jax.training import schedules

# What a node adapts, in order. 'backbone' leaves the gates as they are.
ORDERS = ('gates_first', 'backbone_first', 'backbone')
SERVERS = ('average', 'adam')


@dataclasses.dataclass(frozen=True)
class Config:
  """The settings of federated meta-learning.

  Attributes:
    order: which part one step of adaptation changes first, one of `ORDERS`.
    one_step: whether nodes descend the loss after one step of adaptation.
      Otherwise they descend the loss itself, as in federated averaging.
    second_order: whether the gradient goes through the gradients of the step.
    learn_rates: whether step sizes of adaptation are learned, one a leaf.
    gate_rate: initial step size of the gates.
    backbone_rate: initial step size of the backbone.
    rho: weight of the sparsity penalty.
    target: share of open channels above which the penalty begins.
    noise: scale of the noise of gates.
    closing: share of the rounds in which target and noise fall to these values
      from 1; 0 is none. Channels that close before the backbone has learned
      are chosen blindly, and gates with noise do not learn to look at images.
    nodes: nodes of a round.
    at_once: nodes that are computed side by side, the others after them; 0 is
      one on a CPU, where its maps stay in a core's cache, and elsewhere all.
      Results are equal up to rounding.
    local_steps: steps of each node in a round, T0.
    local_rate: learning rate of these steps.
    server: what the server does with the weighted average of the nodes:
      'average' takes it, 'adam' takes the way to it as a gradient for Adam
      (FedAdam, Reddi et al., https://arxiv.org/abs/2003.00295).
    server_rate: learning rate of Adam, which falls linearly to zero over the
      second half of the rounds.
    rates_factor: factor of `server_rate` for the logarithms of step sizes.
    augment: augmentation of images in training, see
      `data.augmentation_names`; '' is none.
    personal_gates: whether gates stay at their node and are never averaged.
    schedule: number of rounds, and rounds between effects.

  Raises:
    ValueError: a setting is out of range or unknown.
  """

  order: str = 'gates_first'
  one_step: bool = True
  second_order: bool = True
  learn_rates: bool = True
  gate_rate: float = 0.1
  backbone_rate: float = 1.0
  rho: float = 1.0
  target: float = 0.7
  noise: float = 0.0
  closing: float = 0.5
  nodes: int = 16
  at_once: int = 0
  local_steps: int = 1
  local_rate: float = 0.1
  server: str = 'adam'
  server_rate: float = 5e-3
  rates_factor: float = 10.0
  augment: str = ''
  personal_gates: bool = False
  schedule: schedules.Schedule = schedules.Schedule(
    1000, 50, select_every=100, patience=8
  )

  def __post_init__(self):
    augmentation_names.parse(self.augment)
    for name, choices in (('order', ORDERS), ('server', SERVERS)):
      if getattr(self, name) not in choices:
        raise ValueError(
          f'{name} {getattr(self, name)!r} is not one of {", ".join(choices)}'
        )
    for name in (
      'gate_rate', 'backbone_rate', 'local_rate', 'server_rate', 'rates_factor',
    ):  # fmt: skip
      value = getattr(self, name)
      if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f'{name} {value} is not positive')
    for name in ('rho', 'noise'):
      value = getattr(self, name)
      if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f'{name} {value} is negative')
    for name in ('target', 'closing'):
      if not 0.0 <= getattr(self, name) <= 1.0:
        raise ValueError(f'{name} {getattr(self, name)} is not in [0, 1]')
    for name in ('nodes', 'local_steps'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} {getattr(self, name)} is below 1')
    if self.at_once < 0:
      raise ValueError(f'at_once {self.at_once} is negative')
