"""Defines the flags of all that trains, and those of pretrain and barycenter.

Defaults are those of the settings of the methods.
"""

from typing import Any

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions.kinds import Values
from coalesce_jax.gan import config as config_lib
from coalesce_jax.methods import settings
from coalesce_jax.runs.trackers import table

# The flags of a barycenter that only particles read, those that they do not
# read, and those that they read where critics learn.
OF_PARTICLES = ('n', 'alpha', 'bandwidth', 'scores')
NOT_OF_PARTICLES = (
  'objective', 'radii', 'fixed_samples', 'refine_steps', 'new_generator',
  'generator_batches', 'critic_learning_rate',
)  # fmt: skip
OF_CRITICS = (
  'batch_size', 'critic_steps', 'learning_rate', 'track', 'workdir',
)  # fmt: skip


def training(values: Values, config: Any) -> None:
  """Defines the flags of a command that trains.

  Args:
    values: the flags.
    config: settings of the stage. Its `game` and `schedule` give the defaults.
  """
  game = config.game
  kinds.count(
    values, 'steps', config.schedule.steps, 'Number of generator steps.'
  )
  kinds.seed(values)
  kinds.count(
    values, 'batch_size', game.batch_size, 'Number of samples in a batch.',
    1, 1 << 20,
  )  # fmt: skip
  kinds.count(
    values, 'critic_steps', game.critic_steps,
    'Number of critic steps before each generator step.', 1, 1000,
  )  # fmt: skip
  kinds.count(
    values, 'generator_batches', game.generator_batches,
    'Number of batches that one generator step takes.', 1, 1000,
  )  # fmt: skip
  kinds.number(
    values, 'learning_rate', game.learning_rate,
    "Learning rate of the generator's Adam.", 0.0, 10.0, open_low=True,
  )  # fmt: skip
  kinds.number(
    values, 'critic_learning_rate', game.critic_learning_rate or 0.0,
    "Learning rate of the critics' Adam; 0 takes that of the generator.",
    0.0, 10.0,
  )  # fmt: skip
  track(values)
  kinds.path(
    values, 'workdir', None,
    'Folder of records and checkpoints. Default: OUT.run beside the result.',
  )  # fmt: skip


def track(values: Values) -> None:
  """Defines the flag of the trackers of experiments."""
  kinds.choices(
    values, 'track', list(table.PACKAGES), 'Trackers that get the metrics as '
    'well, separated by commas; each is an extra, as in '
    "pip install 'coalesce_jax[wandb]'.",
  )  # fmt: skip


def nodes(values: Values, text: str) -> None:
  """Defines the flags of bundles and of their weights."""
  kinds.paths(values, 'nodes', text)
  kinds.numbers(
    values, 'weights', 'Weights of the bundles, which sum to 1. Default: equal.'
  )


def image_shape(values: Values) -> None:
  """Defines the flags that name the shape of a folder's images."""
  kinds.string(
    values, 'image_size', None, 'Size that the pictures of a folder are '
    'cropped and resized to: a side like 64, or HxW. Default: their own, or '
    'the nearest that the network makes.',
  )  # fmt: skip
  kinds.choice(
    values, 'channels', None, ['1', '3'], 'Channels of the images, 1 grey or '
    '3 colours. Default: 1 if all pictures of a folder are grey.',
  )  # fmt: skip


def pretrain(values: Values) -> None:
  """Defines the flags of `pretrain`."""
  kinds.path(
    values,
    'dataset',
    'digits',
    'Name of a data set, see '
    '`coalesce data --help`, or path of a folder or array file.',
  )
  kinds.path(
    values, 'data_dir', None, 'Folder where data sets are searched first.'
  )
  kinds.string(
    values,
    'split',
    'overlapping',
    "Classes of each node, as in 'a,b|c->d': "
    'the nodes, separated by |, then the target. Or one of overlapping, '
    'disjoint and one_class, for ten classes.',
  )
  image_shape(values)
  kinds.string(
    values, 'network', 'dcgan', 'Architecture of the generators and critics.'
  )
  kinds.count(values, 'width', 24, 'Width of the network.', 1, 4096)
  kinds.count(
    values, 'latent_size', 64, 'Number of random values that the generator '
    'makes an image of.', 1, 4096,
  )  # fmt: skip
  kinds.choice(
    values, 'start', settings.Pretraining().start, settings.STARTS,
    'What the generators start from: new parameters, or those that make the '
    'images of a linear WGAN in closed form, convex, or of a PCA sampler, pca.',
  )  # fmt: skip
  kinds.path(values, 'out', None, 'Folder for the bundles of the nodes.')
  training(values, settings.Pretraining())


def barycenter(values: Values) -> None:
  """Defines the flags of `barycenter`."""
  nodes(values, 'Bundles, separated by commas.')
  kinds.choice(
    values,
    'method',
    'joint',
    (*settings.METHODS, 'particles'),
    'How the barycenter is learned. particles writes samples of the W2 '
    'barycenter to a .png or .npz; there is no generator then.',
  )
  kinds.choice(
    values,
    'objective',
    None,
    config_lib.OBJECTIVES,
    'Function of the distances to the bundles that is minimised. Default: that '
    'of the method.',
  )
  kinds.numbers(
    values, 'radii', "Radius for each bundle, for the objective 'ball'."
  )
  kinds.count(
    values, 'fixed_samples', 0, 'Samples of each bundle, drawn once; 0 draws '
    'new samples at every step.', 0, 10_000_000,
  )  # fmt: skip
  kinds.count(
    values, 'refine_steps', 0, 'Steps of discriminator optimal transport '
    '(DOT), which moves fixed samples by the critic of their bundle.', 0, 10_000
  )  # fmt: skip
  kinds.switch(
    values, 'new_generator', 'Start from new parameters instead of those of '
    'the first bundle: better after thousands of steps.',
  )  # fmt: skip
  kinds.count(
    values, 'n', 256, 'Number of particles, which are the samples.', 2, 20_000
  )
  kinds.number(
    values, 'alpha', 10.0, 'Weight of the distributions of the bundles beside '
    'squared distances, of particles.', 0.0, 1e6, open_low=True,
  )  # fmt: skip
  kinds.number(
    values, 'bandwidth', 0.0, 'Standard deviation of the kernel of particles, '
    'or of the noise that critics see; 0 chooses it by the samples.', 0.0, 1e6,
  )  # fmt: skip
  kinds.choice(
    values, 'scores', settings.SCORES[0], settings.SCORES,
    'What moves particles: critics that learn along with them, or the '
    'densities of a kernel, without training, which says little of images.',
  )  # fmt: skip
  kinds.path(
    values, 'out', None, 'Bundle to write; of particles, a .png or .npz.'
  )
  training(values, settings.Barycenter())


def mixture(values: Values) -> None:
  """Defines the flags of `mixture`."""
  nodes(values, 'Bundles, separated by commas.')
  kinds.count(
    values, 'refine_steps', 0, 'Steps of discriminator optimal transport '
    '(DOT), which moves the latents of each sample by the critic of its '
    'bundle.', 0, 10_000,
  )  # fmt: skip
  kinds.path(values, 'out', None, 'Bundle to write.')
