"""Defines the settings of image translation, with their defaults. No JAX.

Names are those that users know from the public code of pix2pix and CycleGAN,
https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix.
"""

import dataclasses
import math
from typing import Any

from coalesce_jax.gan import config as config_lib
from coalesce_jax.training import schedules

# Name of the adversarial loss -> its name in `gan.config.ADVERSARIAL`.
GAN_MODES = {
  'vanilla': 'bce', 'lsgan': 'lsgan', 'wgangp': 'wgan', 'hinge': 'hinge',
}  # fmt: skip
METHODS = ('pix2pix', 'cyclegan', 'cut')
GENERATORS = ('unet', 'resnet')
NORMS = ('instance', 'group', 'layer', 'batch', 'none')
UPSAMPLINGS = ('transposed', 'resize')
# Steps between two validation scores.
SELECT_EVERY = 100


@dataclasses.dataclass(frozen=True)
class Networks:
  """The architectures of a translator and of its critics.

  Attributes:
    net_g: architecture of the generators, 'unet' or 'resnet'.
    ngf: channels of the generator's first map.
    downs: halvings of the U-Net; 6 end at one pixel for images of 64 pixels.
    blocks: residual blocks of the ResNet.
    norm: normalisation of generators and critics, one of `NORMS`. 'batch' takes
      the statistics of the batch in training, and those of each image alone at
      test. There are no running averages.
    upsampling: 'transposed' or 'resize'; the latter leaves no checkerboards.
    dropout: probability of dropout in the generator, in training only.
    ndf: channels of the critic's first map.
    n_layers_d: convolutions of stride 2 in the PatchGAN critic. It scores
      patches of 34 pixels with 2 layers, of 70 with 3.

  Raises:
    ValueError: a name is unknown. The registry of networks checks sizes.
  """

  net_g: str = 'unet'
  ngf: int = 64
  downs: int = 6
  blocks: int = 6
  norm: str = 'instance'
  upsampling: str = 'transposed'
  dropout: float = 0.0
  ndf: int = 64
  n_layers_d: int = 2

  def __post_init__(self):
    for name, choices in (
      ('net_g', GENERATORS),
      ('norm', NORMS),
      ('upsampling', UPSAMPLINGS),
    ):
      if getattr(self, name) not in choices:
        raise ValueError(
          f'{name} {getattr(self, name)!r} is not one of {choices}'
        )

  def generator_options(self) -> dict[str, Any]:
    """Returns the options of the generator's network in the registry."""
    depth = (
      {'downs': self.downs} if self.net_g == 'unet' else {'blocks': self.blocks}
    )
    return depth | {
      'width': self.ngf,
      'norm': self.norm,
      'upsampling': self.upsampling,
      'dropout': self.dropout,
    }

  def critic_options(self) -> dict[str, Any]:
    """Returns the options of the critic's network in the registry."""
    return {
      'width': self.ndf, 'n_layers': self.n_layers_d, 'norm': self.norm,
    }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Translation:
  """The settings that all methods share.

  Attributes:
    networks: architectures.
    schedule: schedule of the loop. With `select_every` the best model by the
      validation score is kept.
    gan_mode: adversarial loss, one of `GAN_MODES`.
    batch_size: pairs, or images of each domain, in a batch.
    learning_rate: of both Adams. The public code takes 2e-4 with batches of one
      image; the defaults grow with the root of the batch size.
    beta1: decay of the first moment of both Adams.
    decay_fraction: fraction of the steps, at the end, over which the learning
      rates fall linearly to zero.
    ema: decay of the moving average of the generator, which is the result.
    crop_size: (H, W) of random crops; None trains on whole images.
    flip: whether half of the images are mirrored, at random.
    precision: precision of products, see `gan.config.Config`.

  Raises:
    ValueError: a setting is out of range or unknown.
  """

  networks: Networks = dataclasses.field(default_factory=Networks)
  schedule: schedules.Schedule = schedules.Schedule(
    steps=2000, select_every=SELECT_EVERY, patience=1 << 30
  )
  gan_mode: str = 'vanilla'
  batch_size: int = 16
  learning_rate: float = 8e-4
  beta1: float = 0.5
  decay_fraction: float = 0.5
  ema: float = 0.995
  crop_size: tuple[int, int] | None = None
  flip: bool = True
  precision: str = 'float32'

  def __post_init__(self):
    if self.gan_mode not in GAN_MODES:
      raise ValueError(
        f'gan_mode {self.gan_mode!r} is not one of {tuple(GAN_MODES)}'
      )
    if not 0.0 <= self.decay_fraction <= 1.0:
      raise ValueError(f'decay_fraction {self.decay_fraction} not in [0, 1]')
    for field in dataclasses.fields(self):
      if not field.name.startswith('lambda_'):
        continue
      value = getattr(self, field.name)
      if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f'{field.name} {value} is not in [0, inf)')
    self.game()

  def game(self) -> config_lib.Config:
    """Returns the settings of the game."""
    falling = round(self.decay_fraction * self.schedule.steps)
    return config_lib.Config(
      objective='w1',
      adversarial=GAN_MODES[self.gan_mode],
      batch_size=self.batch_size,
      critic_steps=1,
      learning_rate=self.learning_rate,
      beta1=self.beta1,
      beta2=0.999,
      decay_steps=falling,
      constant_steps=self.schedule.steps - falling if falling else 0,
      ema=self.ema,
      precision=self.precision,
      segment=False,
      shared_prior=True,
      held_out=False,
      joined_scores=self.networks.norm != 'batch',
    )

  @property
  def adversarial_weight(self) -> float:
    """The weight of each adversarial loss of the generator.

    The public code descends E (f - 1)^2 in mode 'lsgan', twice the loss of the
    paper that `gan.adversarial.lsgan` has.
    """
    return 2.0 if self.gan_mode == 'lsgan' else 1.0


@dataclasses.dataclass(frozen=True)
class Pix2pix(Translation):
  """The settings of pix2pix.

  Attributes:
    lambda_l1: weight of the mean absolute difference to the target.
  """

  lambda_l1: float = 100.0


@dataclasses.dataclass(frozen=True)
class CycleGan(Translation):
  """The settings of CycleGAN.

  Attributes:
    lambda_cycle: weight of the mean absolute difference between an image and
      its translation there and back.
    lambda_identity: weight, relative to `lambda_cycle`, of the difference
      between an image of the target domain and its translation. It needs
      domains with the same number of channels; 0 is without.
    pool_size: old fakes that the critics see again, see `gan.buffers.pool`; 0
      is none.
  """

  networks: Networks = Networks(net_g='resnet')
  gan_mode: str = 'lsgan'
  batch_size: int = 4
  learning_rate: float = 4e-4
  lambda_cycle: float = 10.0
  lambda_identity: float = 0.5
  pool_size: int = 50

  def __post_init__(self):
    super().__post_init__()
    if self.pool_size < 0:
      raise ValueError(f'pool_size {self.pool_size} is negative')


@dataclasses.dataclass(frozen=True)
class Cut(Translation):
  """The settings of CUT, and of FastCUT by `fast`.

  Attributes:
    networks: the public code up-samples without checkerboards too, though by
      another filter than 'resize'.
    lambda_nce: weight of the contrastive loss.
    nce_identity: whether images of the target domain have the loss too; the two
      are averaged.
    nce_layers: layers of the encoder that are compared.
    patches: places of each layer that are compared.
    temperature: tau of the contrastive loss.
    features: width and output size of the two-layer heads.
  """

  networks: Networks = Networks(net_g='resnet', upsampling='resize')
  gan_mode: str = 'lsgan'
  batch_size: int = 4
  learning_rate: float = 4e-4
  lambda_nce: float = 1.0
  nce_identity: bool = True
  nce_layers: tuple[int, ...] = (0, 4, 8, 12, 16)
  patches: int = 256
  temperature: float = 0.07
  features: int = 256

  def __post_init__(self):
    super().__post_init__()
    for name in ('patches', 'features'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} {getattr(self, name)} is below 1')
    if not self.temperature > 0.0:
      raise ValueError(f'temperature {self.temperature} is not positive')
    if self.networks.net_g != 'resnet':
      raise ValueError(
        "CUT compares layers of a ResNet: net_g must be 'resnet'"
      )


def fast_cut(**changes: Any) -> Cut:
  """Returns the settings of FastCUT: weight 10, without the identity."""
  return Cut(**{'lambda_nce': 10.0, 'nce_identity': False} | changes)


def default(method: str) -> Translation:
  """Returns the default settings of a method, one of `METHODS`."""
  made: Translation = {'pix2pix': Pix2pix, 'cyclegan': CycleGan, 'cut': Cut}[
    method
  ]()
  return made


def default_of(name: str) -> Any:
  """Returns the default of a setting that one method has."""
  return next(
    getattr(default(m), name) for m in METHODS if hasattr(default(m), name)
  )
