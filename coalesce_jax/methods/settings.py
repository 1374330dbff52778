"""Defines the settings of every method, with their defaults. It needs no JAX.

The modules of the methods name their own as `Config`.
"""

import dataclasses
from typing import Any

import numpy as np

from coalesce_jax.gan import config as config_lib
from coalesce_jax.networks import transport_config
from coalesce_jax.training import schedules
from coalesce_jax.transforms import ternary_config

# The methods of a barycenter.
METHODS = ('joint', 'recursive', 'mixture')
# What a generator that is pretrained starts from.
STARTS = ('new', 'convex', 'pca')
# What moves particles.
SCORES = ('critics', 'kernel')
# How several nodes help to adapt.
ADAPTATIONS = ('barycenter', 'piggyback')
# Lambda of the latter.
PIGGYBACK_SHARE = 0.25
# Steps that update only the critics, by default.
WARMUP = 50
BARYCENTER_WARMUP = 100


@dataclasses.dataclass(frozen=True)
class Pretraining:
  """The settings of pretraining.

  Attributes:
    game: settings of the game.
    schedule: schedule of the loop.
    decay: whether the learning rates fall linearly to zero over the steps,
      instead of over `game.decay_steps`.
    held_out: fraction of each node's samples kept for distance estimates.
    start: what generators start from: 'new' is random parameters; 'convex' fits
      them first to the closed form of a linear WGAN, without a critic, and
      'pca' to a PCA sampler. See `methods.convex_start`.
    start_steps: steps of this fit.

  Raises:
    ValueError: a setting is out of range or has no such name.
  """

  game: config_lib.Config = dataclasses.field(default_factory=config_lib.Config)
  schedule: schedules.Schedule = schedules.Schedule(steps=3000)
  decay: bool = True
  held_out: float = 0.1
  start: str = 'new'
  start_steps: int = 200

  def __post_init__(self):
    if not 0.0 <= self.held_out < 1.0:
      raise ValueError(f'held_out {self.held_out} is not in [0, 1)')
    if self.start not in STARTS:
      raise ValueError(f'start {self.start!r} is not one of {STARTS}')
    if self.start_steps < 1:
      raise ValueError(f'start_steps {self.start_steps} is below 1')


@dataclasses.dataclass(frozen=True)
class Barycenter:
  """The settings of a barycenter.

  Attributes:
    game: settings of the game. The argument `objective` of `barycenter`
      replaces its objective.
    schedule: schedule of the loop, for every round of the recursion.
    decay: whether the learning rates fall linearly to zero over the steps,
      instead of over `game.decay_steps`.
    start: index of the input generator to start from. None is new parameters,
      which give a better barycenter after thousands of steps.
    spec: architecture of a new generator; None is that of the first input. If
      it names no critic, it gets that of the inputs.
    warmup: steps at the start that update only the critics; None is 100, at
      most a fifth of the steps.
    warm_critics: whether critics start from those of the inputs, if all inputs
      have a critic of the architecture that is trained.
    fixed_samples: number of samples of each input, drawn once and stored in 8
      bits; 0 draws new samples at every step.
    scale_weights: whether to multiply the weights, which sum to 1, by K.
    refine: settings of discriminator optimal transport (DOT), which moves the
      fixed samples by the critics of the inputs. Each critic must have been
      trained with its input on real data. None leaves the samples unchanged.

  Raises:
    ValueError: settings are out of range or contradict each other.
  """

  game: config_lib.Config = dataclasses.field(default_factory=config_lib.Config)
  schedule: schedules.Schedule = schedules.Schedule(steps=1000)
  decay: bool = True
  start: int | None = 0
  spec: Any = None
  warmup: int | None = None
  warm_critics: bool = True
  fixed_samples: int = 0
  scale_weights: bool = False
  refine: transport_config.Config | None = None

  def __post_init__(self):
    if self.fixed_samples < 0:
      raise ValueError(f'fixed_samples {self.fixed_samples} is negative')
    if self.refine is not None and not self.fixed_samples:
      raise ValueError('refine needs fixed_samples: each takes many steps')
    if self.spec is not None and self.start is not None:
      raise ValueError('spec is of a new generator: set start to None')


@dataclasses.dataclass(frozen=True)
class FineTuning:
  """The settings of adaptation and of its baselines.

  Attributes:
    game: settings of the game.
    schedule: schedule of the loop.
    decay: whether the learning rates fall linearly to zero over the steps,
      instead of over `game.decay_steps`.
    anchor: proximal weight a, the weight of the distance to the metamodel; in
      [0, 1), a number or `[S]`.
    mixed: whether one critic sees the mixture of local samples and metamodel,
      instead of a critic for each.
    warmup: steps at the start that update only the critics; None is 50, at most
      a fifth of the steps.
    warm_critics: whether critics start from that of the generator, if it has
      one.
    held_out: fraction of the local samples kept for distance estimates and
      early stopping.
    rate: multiplies all learning rates; a number or `[S]`.
    generator_rate: multiplies the generator's learning rate once more; a number
      or `[S]`. Three to six is about twice as fast from trained nodes, but may
      throw a new generator far off (docs/lab/few_shot_attempts.md).
    radius: eta of the 'ball' objective, the distance allowed from the
      metamodel; a number or `[S]`.
    ternary: settings of ternarization; None keeps float weights.
    fixed_samples: number of samples of the metamodel, drawn once; 0 draws new
      samples at every step.
    scale_weights: whether to multiply the weights of the targets, which sum to
      1, by their number.

  Raises:
    ValueError: a setting is out of range or contradicts the objective.
  """

  game: config_lib.Config = dataclasses.field(
    default_factory=lambda: config_lib.Config(
      objective='w1_squared', augment='translation'
    )
  )
  schedule: schedules.Schedule = schedules.Schedule(steps=500, chunk=25)
  decay: bool = False
  anchor: Any = 0.5
  mixed: bool = False
  warmup: int | None = None
  warm_critics: bool = True
  held_out: float = 0.1
  rate: Any = 1.0
  generator_rate: Any = 1.0
  radius: Any = 0.0
  ternary: ternary_config.Ternary | None = None
  fixed_samples: int = 0
  scale_weights: bool = False

  def __post_init__(self):
    anchor = np.asarray(self.anchor)
    if not np.all((anchor >= 0.0) & (anchor < 1.0)):
      raise ValueError(f'anchor {self.anchor} is not in [0, 1)')
    for name in ('rate', 'generator_rate', 'radius'):
      value = np.asarray(getattr(self, name))
      if not np.all(np.isfinite(value) & (value >= 0.0)):
        raise ValueError(f'{name} {getattr(self, name)} is not in [0, inf)')
    if not 0.0 <= self.held_out < 1.0:
      raise ValueError(f'held_out {self.held_out} is not in [0, 1)')
    if self.fixed_samples < 0:
      raise ValueError(f'fixed_samples {self.fixed_samples} is negative')
    if self.mixed and self.game.needs_radii:
      name = self.game.objective
      raise ValueError(f'objective {name!r} needs two critics: mixed has one')
    if self.game.needs_radii and not np.all(np.asarray(self.radius) > 0):
      name = self.game.objective
      raise ValueError(f'objective {name!r} needs a positive radius')


# The settings of ternarization.
TERNARIZE = FineTuning(
  game=config_lib.Config(objective='w1', augment='translation'),
  schedule=schedules.Schedule(steps=1500),
  decay=True,
  anchor=0.75,
  ternary=ternary_config.Ternary(),
)
