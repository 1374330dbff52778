"""Does a start by the closed form of the convex WGAN save steps?

  python -m experiments.convex_start.main --workdir=DIR

Trials `START_STEPS` pretrain generators of one data set from new parameters,
from the closed form (`convex`) and from a PCA sampler (`pca`, the control), for
several numbers of steps. The learning rate falls to 0 within each. Scores are
energy distances of samples to test images, less that of training images. All
seeds are one program.

The trial `game` trains the linear generator against the quadratic critic by
gradients, and compares it with the closed form: the relative gap of the
objective by steps, and the ratio of times.

`:quick` is a smoke test. Others: `--config.network=mlp`, which compiles in
seconds; `--config.steps='(50, 200)'`.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """Returns the settings; `variant` is '' or 'quick'.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      'dataset': 'digits',
      # Folder where data sets are searched first; '' is none.
      'data_dir': '',
      'seed': 0,
      'seeds': 3,
      'starts': ('new', 'convex', 'pca'),
      # Of the fit to the closed form.
      'start_steps': 200,
      # Generator steps of the trials.
      'steps': (50, 200, 800),
      'network': 'dcgan',
      # An eighth of the hidden units, for the network 'mlp'.
      'width': 8,
      'latent_size': 16,
      'batch_size': 32,
      # Samples for scores.
      'samples': 1000,
      # Of the game: samples, latents, dimensions, beta and steps.
      'game_samples': 256,
      'game_latents': 16,
      'game_dims': 32,
      'game_beta': 0.3,
      'game_steps': 1500,
    }
  )
  if quick:
    config.seeds, config.start_steps, config.steps = 2, 10, (4, 8)
    config.network = 'mlp'
    config.width, config.batch_size, config.samples = 4, 8, 50
    config.game_samples, config.game_latents, config.game_dims = 32, 4, 5
    config.game_steps = 60
  return config
