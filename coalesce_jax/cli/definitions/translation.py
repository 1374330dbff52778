"""Defines the flags of `translate train`, `apply` and `evaluate`.

Flags have the names of the public code of pix2pix and CycleGAN. A flag without
a default takes that of the method.
"""

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions.kinds import Values
from coalesce_jax.data import pair_settings
from coalesce_jax.translation import settings

# Flag -> the methods that have this setting.
OF_METHODS = {
  'lambda_l1': ('pix2pix',),
  'lambda_cycle': ('cyclegan',),
  'lambda_identity': ('cyclegan',),
  'pool_size': ('cyclegan',),
  'lambda_nce': ('cut',),
}


def pairs(values: Values) -> None:
  """Defines the flags that say which image pairs are read, and how."""
  kinds.path(
    values, 'data', None, 'Name of a task, see `coalesce data --help`, or a '
    'folder or .npz file of pairs. A folder holds files A|B side by side, or '
    'folders A and B, or trainA, trainB, testA and testB.',
  )  # fmt: skip
  kinds.path(
    values, 'data_dir', None, 'Folder where data sets are searched first.'
  )
  kinds.choice(
    values, 'direction', 'AtoB', pair_settings.DIRECTIONS,
    'Which images are translated to which.',
  )  # fmt: skip
  kinds.choice(
    values, 'preprocess', 'resize_and_crop', pair_settings.PREPROCESS,
    'What is done to images of other sizes.',
  )  # fmt: skip
  kinds.count(
    values, 'load_size', None, 'Side to which training images are resized '
    'before they are cropped. Default: crop_size.', 2, pair_settings.MAX_SIDE,
  )  # fmt: skip
  kinds.count(
    values, 'crop_size', 64, 'Side of the crops for training, and of images '
    'held out.', 2, pair_settings.MAX_SIDE,
  )  # fmt: skip
  kinds.choice(
    values, 'layout', None, pair_settings.LAYOUTS,
    'Layout of a folder. Default: found by looking. aligned takes files A|B in '
    'sub-folders of any name, too.',
  )  # fmt: skip


def train(values: Values) -> None:
  """Defines the flags of `translate train`."""
  pairs(values)
  kinds.choice(
    values, 'method', 'pix2pix', settings.METHODS, 'Method: pix2pix learns '
    'from pairs; cyclegan (two translators) and cut (one) need none.',
  )  # fmt: skip
  kinds.count(
    values, 'steps', settings.Pix2pix().schedule.steps,
    'Number of generator steps. The learning rates fall to zero over the last '
    'half.',
  )  # fmt: skip
  kinds.seed(values)
  _networks(values)
  _losses(values)
  kinds.count(
    values, 'batch_size', None, 'Number of images in a batch. Default: 16 for '
    'pix2pix, 4 for the others.', 1, 4096,
  )  # fmt: skip
  kinds.number(
    values, 'learning_rate', None, 'Learning rate of both Adams. Default: '
    '8e-4 for pix2pix, 4e-4 for the others.', 0.0, 1.0, open_low=True,
  )  # fmt: skip
  kinds.switch(values, 'no_flip', 'Do not mirror images at random.')
  kinds.path(
    values, 'out', None, 'Bundle to write. cyclegan writes the translator of '
    'the other direction beside it, with `_back` in its name.',
  )  # fmt: skip
  training.track(values)
  kinds.path(
    values, 'workdir', None,
    'Folder of records and checkpoints. Default: OUT.run beside the result.',
  )  # fmt: skip


def _networks(values: Values) -> None:
  networks = settings.Networks()
  kinds.choice(
    values, 'net_g', None, settings.GENERATORS, 'Architecture of the '
    'generator. Default: unet for pix2pix, resnet for the others.',
  )  # fmt: skip
  kinds.count(
    values, 'ngf', 32, "Channels of the generator's first map.", 1, 4096
  )
  kinds.count(
    values, 'downs', None, 'Halvings of the U-Net. Default: until one pixel is '
    'left of crop_size, at most 8.', 1, 8,
  )  # fmt: skip
  kinds.count(
    values, 'blocks', networks.blocks, 'Residual blocks of the ResNet.', 1, 12
  )
  kinds.choice(
    values, 'norm', networks.norm, settings.NORMS, 'Normalisation. batch takes '
    'the statistics of the batch in training, and of each picture alone at '
    'test; it keeps no running averages.',
  )  # fmt: skip
  kinds.choice(
    values, 'upsampling', None, settings.UPSAMPLINGS, 'How maps are enlarged; '
    'resize leaves no checkerboards. Default: resize for cut, transposed for '
    'the others.',
  )  # fmt: skip
  kinds.number(
    values, 'dropout', networks.dropout,
    'Probability of dropout in the generator, in training only.', 0.0, 0.99,
  )  # fmt: skip
  kinds.count(values, 'ndf', 32, "Channels of the critic's first map.", 1, 4096)
  kinds.count(
    values, 'n_layers_d', networks.n_layers_d, "Halvings of the critic; its "
    'patches have 34 pixels with 2, 70 with 3.', 1, 5,
  )  # fmt: skip


def _losses(values: Values) -> None:
  kinds.choice(
    values, 'gan_mode', None, list(settings.GAN_MODES), 'Adversarial loss. '
    'Default: vanilla for pix2pix, lsgan for the others.',
  )  # fmt: skip
  for name, text in (
    ('lambda_l1', 'Weight of the L1 distance to the target, of pix2pix.'),
    ('lambda_cycle', 'Weight of translations there and back, of cyclegan.'),
    (
      'lambda_identity',
      'Weight, relative to lambda_cycle, of images that are in the target '
      'domain already, of cyclegan.',
    ),
    ('lambda_nce', 'Weight of the contrastive loss, of cut.'),
  ):
    default = settings.default_of(name)
    kinds.number(values, name, None, f'{text} Default: {default:g}.', 0.0, 1e6)
  kinds.count(
    values, 'pool_size', None, 'Old fakes that each critic of cyclegan sees '
    f'again. Default: {settings.CycleGan().pool_size}.', 0, 10_000,
  )  # fmt: skip


def apply(values: Values) -> None:
  """Defines the flags of `translate apply`."""
  kinds.path(
    values, 'model', None, 'Bundle of `translate train`, or the file that '
    '`export --format=onnx` made of it.',
  )  # fmt: skip
  kinds.choice(
    values, 'backend', None, ['jax', 'onnx'], 'What runs it: jax a bundle, '
    'onnx a file of `export` on one core. Default: onnx for a file that ends '
    'in .onnx, jax for another.',
  )  # fmt: skip
  kinds.path(
    values, 'input', None, 'Picture to translate, of any size, or folder of '
    'pictures.',
  )  # fmt: skip
  kinds.path(
    values, 'out', None, 'File to write, .png, for one picture; folder for '
    'PNGs of the same names, for a folder.',
  )  # fmt: skip
  kinds.count(
    values, 'tile', 512, 'Largest side that is translated at once. Larger '
    'pictures are translated in tiles that overlap.', 32, 8192,
  )  # fmt: skip


def evaluate(values: Values) -> None:
  """Defines the flags of `translate evaluate`."""
  kinds.path(values, 'model', None, 'Bundle of `translate train`.')
  pairs(values)
  kinds.path(
    values, 'out', None, 'PNG to write: rows of input, output and target.'
  )
