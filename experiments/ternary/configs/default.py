"""Quality against bytes: ternary generators, and what else is as small.

From the same float generators: ternarized afterwards or trained, by scheme,
granularity and distillation, with ternary critics or float ones; 8 bits; and
float generators of fewer weights, down to the same bytes.

  python -m experiments.ternary.main --workdir=DIR \
    --config=experiments/ternary/configs/default.py

`:quick` is a smoke test. Others: `--config.datasets='("cifar10",)'`,
`--config.variants='("paper","twn_channel_distilled")'`, all in `variants.py`.
"""

import ml_collections

from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import variants
from experiments.coalesce.configs import images


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """For two cores; `quick`: digits, a few steps.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  shared = images.get_config()
  defaults.shorten(shared, variant)
  # Of the pipeline alone.
  del shared.adapt.rate
  # Every data set has its own; here all classes are the target's.
  for field in ('dataset', 'split', 'barycenter', 'transfer', 'methods',
                'local_samples'):  # fmt: skip
    del shared[field]
  shared.seeds = 2
  shared.adapt.augment = ''
  # Against all training images alone: the float generator is no anchor.
  shared.ternary.anchor = 0.0
  if quick:
    shared.network.width = shared.network.critic_width = 8
  else:
    shared.seeds = 3
    shared.network.width = shared.network.critic_width = 16
    shared.pretrain.steps = 2500
    shared.ternary.steps = 1200
    shared.evaluate.samples = 10000
    shared.evaluate.curve_samples = 2000
  return ml_collections.ConfigDict(
    {
      'datasets': ('digits',) if quick else ('mnist', 'fashion_mnist'),
      # Names of `variants.TABLE`; empty is all.
      'variants': (),
      # Bytes of the narrower float generators, as multiples of those of the
      # packed ternary one.
      'narrow': (1.0, 4.0) if quick else (1.0, 2.0, 4.0, 8.0),
      # Learning rates of what is trained, as factors: of each row the one of
      # the least Frechet distance to training images, mean over seeds.
      'rates': (0.3, 1.0),
      # Steps between two points of the curves.
      'look_every': 20 if quick else 300,
      'shared': shared,
    }
  )
