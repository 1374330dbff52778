"""Ablations: one thing varied at a time, from the same nodes.

Methods and numbers of nodes, a corrupted node among five, critics, penalty,
averages, anchors, ternary schemes; and what seeds in one run cost.

  python -m experiments.ablations.main --workdir=DIR \
    --config=experiments/ablations/configs/default.py

`:quick` is a smoke test. Others: `--config.variants='("k2_mixture",)'`; all
are in `variants.py`.
"""

import ml_collections

from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import variants
from experiments.coalesce.configs import images


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """MNIST at width 16; `quick`: digits, a few steps.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  shared = images.get_config()
  defaults.shorten(shared, variant)
  shared.seeds, shared.adapt.augment = 2, ''
  shared.adapt.observe_every = 0
  if quick:
    shared.network.width = shared.network.critic_width = 4
  else:
    shared.dataset, shared.seeds = 'mnist', 3
    shared.network.width = shared.network.critic_width = 16
    shared.pretrain.steps = 1500
    shared.barycenter.steps = 800
    shared.adapt.steps = 300
    shared.ternary.steps = 600
    shared.evaluate.samples = 5000
  return ml_collections.ConfigDict(
    {
      'shared': shared,
      # Names of `variants.TABLE`; empty is all.
      'variants': (),
      # The data set of a node that is corrupted by another one.
      'other': 'digits' if quick else 'fashion_mnist',
      # Seeds in one run against as many runs; 0 seeds: not done.
      'together': {'seeds': 8, 'steps': 10 if quick else 100, 'rounds': 3},
    }
  )
