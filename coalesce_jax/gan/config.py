"""Static settings of a game, checked where they are made.

Shapes: K critics, B batch.
"""

import dataclasses

from coalesce_jax.data import augmentation
from coalesce_jax.gan import objectives
from coalesce_jax.gan.adversarial import registry
from coalesce_jax.gan.adversarial import wgan
from coalesce_jax.ops import precision


@dataclasses.dataclass(frozen=True)
class Config:
  """Static settings of a game.

  Attributes:
    objective: one of `objectives.NAMES`.
    batch_size: B, of every source and of the generator.
    critic_steps: critic updates per generator update.
    generator_batches: as many batches of B make one generator update. Where its
      noise is what limits a few steps, more are worth more than in the critics'
      updates, which cost most (`docs/few_shot_attempts.md`).
    adversarial: name of the losses, one of `adversarial.registry.NAMES`.
    penalty: 'two_sided' or 'one_sided'.
    penalty_weight: of the gradient penalty.
    gp_norm: 'sample' or 'channel'.
    learning_rate: of the generator's Adam.
    critic_learning_rate: of the critics' Adam; None is `learning_rate`.
    beta1: of both.
    beta2: of both.
    epsilon: of the generator's Adam. A small one moves every parameter by the
      rate, those that nothing but noise moves too; in many dimensions 1e-3
      keeps them still.
    decay_steps: generator steps over which both rates fall linearly to zero; 0
      keeps them constant.
    ema: decay of the moving average of the generator.
    w1_smoothing: decay of the moving average of the distance estimates.
    augment: see `augmentation.build`.
    freeze: patterns of critic leaves that keep their start values.
    reuse_batch: one real batch serves all critic steps of a generator step.
    paired: the generator and its frozen sources of the same latent size read
      the same latents (common random numbers). Gaps stay unbiased; their noise
      falls to that of what differs, so that a generator is held close to the
      source it started from by far fewer samples.
    precision: of the products of convolutions and dense layers, see
      `networks.precision`; 'tensorfloat32' and 'bfloat16' are faster where
      there are matrix units. Critics of bounded slope stay in float32.
    ball_penalty: rho of the augmented Lagrangian, positive; one over a length.
    ball_rate: step of its multipliers, one over a length.
    segment: whether two sources are two ends, between which a position is
      reported; not where two critics judge one and the same.
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
  ema: float = 0.995
  w1_smoothing: float = 0.95
  augment: str = ''
  freeze: tuple[str, ...] = ()
  reuse_batch: bool = False
  paired: bool = False
  precision: str = 'float32'
  ball_penalty: float = 1.0
  ball_rate: float = 0.01
  segment: bool = True

  def __post_init__(self):
    for field, choices in [
      ('objective', objectives.NAMES),
      ('adversarial', registry.NAMES),
      ('penalty', wgan.PENALTIES),
      ('gp_norm', wgan.NORMS),
      ('precision', precision.NAMES),
    ]:
      if getattr(self, field) not in choices:
        raise ValueError(
          f'{field} {getattr(self, field)!r} is not one of {choices}'
        )
    for field in ('batch_size', 'critic_steps', 'generator_batches'):
      if getattr(self, field) < 1:
        raise ValueError(f'{field} {getattr(self, field)} is below 1')
    for field in ('beta1', 'beta2', 'ema', 'w1_smoothing'):
      if not 0.0 <= getattr(self, field) < 1.0:
        raise ValueError(f'{field} {getattr(self, field)} is not in [0, 1)')
    if not self.learning_rate > 0.0:
      raise ValueError(f'learning_rate {self.learning_rate} is not positive')
    critics = self.critic_learning_rate
    if critics is not None and not critics > 0.0:
      raise ValueError(f'critic_learning_rate {critics} is not positive')
    if not self.ball_penalty > 0.0:
      raise ValueError(f'ball_penalty {self.ball_penalty} is not positive')
    if self.penalty_weight < 0.0:
      raise ValueError(f'penalty_weight {self.penalty_weight} is negative')
    if self.paired and self.reuse_batch:
      raise ValueError('paired needs fresh samples: reuse_batch must be off')
    if self.paired and self.generator_batches > 1:
      raise ValueError('paired needs generator_batches 1: sources have no more')
    augmentation.build(self.augment)


def decaying(config: Config, steps: int) -> Config:
  """Returns the settings with rates that fall to zero over a run.

  Args:
    config: of the game.
    steps: generator steps of the run.
  """
  return dataclasses.replace(config, decay_steps=steps)
