"""What every method of a comparison may spend.

Shapes: M replicas (seeds, learning rates, variants).
"""

import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.methods import adaptation
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.training import loop


@dataclasses.dataclass(frozen=True)
class Budget:
  """Steps, and what goes into them.

  Attributes:
    steps: generator steps.
    chunk: steps of one compiled scan.
    warmup: steps at the start during which only the critics learn.
    generator_batches: batches that make one step of the generator.
    held_out: fraction of the local samples that nobody trains on.
    look_every: steps between two evaluations; training stops at one of them.
  """

  steps: int
  chunk: int
  warmup: int = 0
  generator_batches: int = 1
  held_out: float = 0.1
  look_every: int = 50

  def __post_init__(self):
    for field in ('steps', 'look_every', 'chunk', 'generator_batches'):
      if getattr(self, field) < 1:
        raise ValueError(f'budget: {field} {getattr(self, field)} is below 1')
    if not 0 <= self.warmup < self.steps:
      raise ValueError(f'budget: warmup {self.warmup} is not in [0, steps)')
    if not 0.0 <= self.held_out < 1.0:
      raise ValueError(f'budget: held_out {self.held_out} is not in [0, 1)')
    if self.steps % self.look_every or self.look_every % self.chunk:
      raise ValueError(
        f'budget: steps {self.steps}, look_every {self.look_every} and chunk '
        f'{self.chunk} do not divide each other'
      )

  def schedule(self) -> loop.Schedule:
    """Returns how long training lasts, and when it is evaluated."""
    return loop.Schedule(
      steps=self.steps, chunk=self.chunk, observe_every=self.look_every
    )

  def fine_tuning(self, settings: Any, rates: np.ndarray) -> adaptation.Config:
    """Returns the settings with which every method begins.

    Args:
      settings: configuration of the pipeline, whose game is played.
      rates: factor of all learning rates, and that of the generator's once
        more, `[M, 2]`.
    """
    game = dataclasses.replace(
      config_lib.pretrain(settings).game,
      objective='w1_squared',
      decay_steps=0,
      generator_batches=self.generator_batches,
    )
    return adaptation.Config(
      game=game,
      schedule=self.schedule(),
      anchor=0.5,
      warmup=self.warmup,
      held_out=self.held_out,
      rate=np.asarray(rates[:, 0], np.float32),
      generator_rate=np.asarray(rates[:, 1], np.float32),
    )
