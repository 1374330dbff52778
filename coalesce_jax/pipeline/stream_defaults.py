"""The configuration of a stream of tasks: every field, explained once.

Every field can be overridden on the command line, as in `--config.steps=500`.
The files that `coalesce stream run --config=FILE` reads start from these
defaults.
"""

import ml_collections

from coalesce_jax.continual import settings
from coalesce_jax.pipeline import variants

# Settings of a smoke test.
_QUICK = {
  'side': 32, 'images': 48, 'steps': 4, 'width': 4, 'critic_width': 4,
  'batch_size': 4, 'latent_size': 8, 'fast_compile': True,
}  # fmt: skip


def get_config() -> ml_collections.ConfigDict:
  """Returns the fields."""
  return ml_collections.ConfigDict(
    {
      # Tasks in order, as 'DATA' or 'NAME=DATA'. DATA is the name of a task of
      # translation, or a folder or .npz file of pairs; or, for generators of
      # latents, a data set or folder of images, with classes as in 'mnist:0-4'.
      'tasks': ('fluent_outline_flat', 'fluent_flat_modern'),
      # One of `continual.settings.LEARNERS`.
      'learner': 'piggyback',
      # Lambda, the share of free filters; of piggyback.
      'share': settings.Piggyback().share,
      # Further arguments of the learner by name, such as {'weight': 10.0}.
      'options': {},
      # Folder where data sets are searched first; '' is none.
      'data_dir': '',
      # 'AtoB' or 'BtoA', of pairs.
      'direction': 'AtoB',
      # How folders hold pairs, 'aligned' or 'unaligned'; '' is by looking.
      'layout': '',
      # Side of images of pairs.
      'side': 64,
      # Most images of a task for training; 0 is all.
      'images': 0,
      # Seed of the run. Replica s has that of `seed + s`.
      'seed': 0,
      # Replicas that are trained as one program.
      'seeds': 1,
      # Generator steps of each task.
      'steps': 1000,
      # 'pix2pix' for pairs, 'cyclegan' for domains without pairs.
      'method': 'pix2pix',
      # 'unet' or 'resnet' for translation, 'dcgan' for latents; '' is the
      # default of the method.
      'network': '',
      # Channels of the first map of generators and critics.
      'width': 32,
      'critic_width': 32,
      # Number of random values of a generator of latents.
      'latent_size': 64,
      # Those of the method if 0.
      'batch_size': 0,
      'learning_rate': 0.0,
      # Least seconds between two checkpoints.
      'save_seconds': 60.0,
      # Whether programs are compiled in half the time and run slower.
      'fast_compile': False,
    }
  )


def shorten(config: ml_collections.ConfigDict, variant: str) -> None:
  """Makes a smoke test of a configuration, in place, for the variant 'quick'.

  Raises:
    ValueError: another variant.
  """
  if variants.quick(variant):
    for name, value in _QUICK.items():
      config[name] = value
