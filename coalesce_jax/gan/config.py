"""Defines and checks the static settings of a game. It needs no JAX.

Shapes: K critics, B batch.
"""

import dataclasses
import math

from coalesce_jax.core import patterns
from coalesce_jax.data import augmentation_names
from coalesce_jax.ops import precision_names

# What implements these names is in `objectives`, `adversarial.registry` and
# `adversarial.wgan`.
OBJECTIVES = ('w1', 'w1_squared', 'ball')
# The objectives that hold the generator within radii of sources.
WITH_RADII = ('ball',)
ADVERSARIAL = ('wgan', 'lsgan', 'bce', 'hinge')
PENALTIES = ('two_sided', 'one_sided', 'none')
GRADIENT_NORMS = ('sample', 'channel')


@dataclasses.dataclass(frozen=True)
class Config:
  """The static settings of a game.

  Attributes:
    objective: which functional of the distances the generator descends, one of
      `OBJECTIVES`.
    batch_size: B, for every source and for the generator.
    critic_steps: critic updates per generator update.
    generator_batches: number of batches of size B in one generator update. In a
      short run, which the noise of this update limits, more batches here help
      more than in the critic updates, which cost most
      (`docs/lab/few_shot_attempts.md`).
    adversarial: name of the losses, one of `ADVERSARIAL`.
    penalty: kind of gradient penalty, 'two_sided', 'one_sided' or 'none'.
    penalty_weight: weight of the gradient penalty.
    gp_norm: norm of the gradient in the penalty, 'sample' or 'channel', see
      `adversarial.wgan.gradient_penalty`.
    learning_rate: learning rate of the generator's Adam.
    critic_learning_rate: learning rate of the critics' Adam; None uses
      `learning_rate`.
    beta1: decay of the first moment of both Adams.
    beta2: decay of the second moment of both Adams.
    epsilon: epsilon of the generator's Adam. With a small value Adam moves
      every parameter by the learning rate, even one whose gradient is only
      noise. In many dimensions 1e-3 keeps such parameters still.
    decay_steps: generator steps over which both learning rates fall linearly to
      zero; 0 keeps them constant.
    constant_steps: generator steps before both learning rates begin to fall.
    ema: decay of the moving average of the generator.
    w1_smoothing: decay of the moving average of the distance estimates.
    augment: augmentation of what the critics see, see `augmentation.build`; the
      empty string is none.
    freeze: patterns of critic leaves that keep their initial values.
    reuse_batch: whether one real batch serves all critic updates of a step.
    paired: whether the generator and the frozen generators among its sources
      use the same latents (common random numbers), if their latent sizes agree.
      The gaps stay unbiased, and only what differs between two generators adds
      noise. Far fewer samples then hold a generator close to the one it started
      from.
    shared_prior: whether the generator's update takes the draws of the prior of
      the critic updates. The fakes of both are then made once. It needs as many
      `generator_batches` as `critic_steps`.
    joined_scores: whether a critic scores real samples and fakes in one batch,
      which takes fewer and larger products. It must score each sample alone,
      without batch norm. Wasserstein losses ignore it.
    held_out: whether distances are estimated on held-out samples. Without, the
      estimate is the gap of the last critic update, on its own samples and
      before that update. It saves one evaluation of the critics.
    precision: precision of the products in convolutions and dense layers, one
      of `ops.precision_names.NAMES`. 'tensorfloat32' and 'bfloat16' are faster
      on devices with matrix units. Critics that are Lipschitz by construction
      stay in float32.
    ball_penalty: rho of the augmented Lagrangian, positive, one over a length.
    ball_rate: step size of its multipliers, one over a length.
    segment: whether a game of two sources reports the generator's position
      between them. It is False where both critics have the same source.

  Raises:
    ValueError: a setting is out of range or unknown, or two settings exclude
      each other.
  """

  objective: str = 'w1'
  batch_size: int = 64
  critic_steps: int = 3
  generator_batches: int = 1
  adversarial: str = 'wgan'
  penalty: str = 'two_sided'
  penalty_weight: float = 10.0
  gp_norm: str = 'sample'
  learning_rate: float = 2e-3
  critic_learning_rate: float | None = None
  beta1: float = 0.0
  beta2: float = 0.9
  epsilon: float = 1e-8
  decay_steps: int = 0
  constant_steps: int = 0
  ema: float = 0.995
  w1_smoothing: float = 0.95
  augment: str = ''
  freeze: tuple[str, ...] = ()
  reuse_batch: bool = False
  paired: bool = False
  shared_prior: bool = False
  joined_scores: bool = False
  held_out: bool = True
  precision: str = 'float32'
  ball_penalty: float = 1.0
  ball_rate: float = 0.01
  segment: bool = True

  @property
  def needs_radii(self) -> bool:
    """Whether the objective holds the generator within radii of sources."""
    return self.objective in WITH_RADII

  def __post_init__(self):
    for name, choices in [
      ('objective', OBJECTIVES),
      ('adversarial', ADVERSARIAL),
      ('penalty', PENALTIES),
      ('gp_norm', GRADIENT_NORMS),
      ('precision', precision_names.NAMES),
    ]:
      if getattr(self, name) not in choices:
        raise ValueError(
          f'{name} {getattr(self, name)!r} is not one of {choices}'
        )
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{field.name} {value} is not finite')
    patterns.check(self.freeze, 'freeze')
    for name in ('batch_size', 'critic_steps', 'generator_batches'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} {getattr(self, name)} is below 1')
    for name in ('beta1', 'beta2', 'ema', 'w1_smoothing'):
      if not 0.0 <= getattr(self, name) < 1.0:
        raise ValueError(f'{name} {getattr(self, name)} is not in [0, 1)')
    if not self.learning_rate > 0.0:
      raise ValueError(f'learning_rate {self.learning_rate} is not positive')
    critics = self.critic_learning_rate
    if critics is not None and not critics > 0.0:
      raise ValueError(f'critic_learning_rate {critics} is not positive')
    if not self.ball_penalty > 0.0:
      raise ValueError(f'ball_penalty {self.ball_penalty} is not positive')
    if self.constant_steps < 0:
      raise ValueError(f'constant_steps {self.constant_steps} is negative')
    if self.penalty_weight < 0.0:
      raise ValueError(f'penalty_weight {self.penalty_weight} is negative')
    if self.paired and self.reuse_batch:
      raise ValueError('paired needs fresh samples: reuse_batch must be off')
    if self.paired and self.generator_batches > 1:
      raise ValueError(
        'paired needs generator_batches 1: held-out samples are one batch'
      )
    if self.shared_prior and self.generator_batches != self.critic_steps:
      raise ValueError(
        f'shared_prior needs as many generator_batches as critic_steps, not '
        f'{self.generator_batches} and {self.critic_steps}'
      )
    augmentation_names.parse(self.augment)


def decaying(config: Config, steps: int) -> Config:
  """Returns the settings with learning rates that fall to zero over a run.

  Args:
    config: settings of the game.
    steps: generator steps of the run.
  """
  return dataclasses.replace(config, decay_steps=steps)


def paper_code() -> Config:
  """Returns settings like those of the authors' code, for comparison only.

  They penalise the gradient norm over channels at each pixel, and one real
  batch serves all critic updates of a step. The rest is of the WGAN-GP paper,
  https://arxiv.org/abs/1704.00028, with momentum.
  """
  return Config(
    gp_norm='channel',
    reuse_batch=True,
    beta1=0.5,
    beta2=0.9,
    ema=0.999,
    critic_steps=5,
    learning_rate=1e-4,
  )
