r"""The whole pipeline on the 1,797 embedded 8x8 digits; nothing to download.

  coalesce run --config=experiments/coalesce/configs/digits.py --workdir=DIR

`:quick` is a smoke test of a few steps a stage.

Settings were selected by the Frechet distance to training images, with local
samples of seeds 100 to 102; the test images had no part in it. By this measure
the metamodel has 6.2, samples of the nodes that DOT moved in 10 steps have 3.9,
and the baseline `ensemble` has 16.3. The nodes together know the target, so
that no setting of adaptation improved the metamodel. Rates of 0.1 and 0.03 and
anchors from 0.25 to 0.9 gave 7.0 to 10.4. The best of them are set here.

Frechet distances to test images, seeds 0 to 9, real images 6.7:

  metamodel                                8.4 ± 0.7
  adapted                                  9.5 ± 0.8
  ternary                                 14.2 ± 1.3
  ensemble, 500 steps at the edge         18.6 ± 1.5
  ensemble with all 2,500 steps of ours   12.2 ± 0.7
  edge only                               29.5 ± 4.8
  transfer                                39.0 ± 5.3

In all ten seeds the adapted generator is ahead of every baseline. The ternary
one is ahead of all but the long ensemble.

To compare methods over seeds 0 to 9:

  python -m experiments.coalesce.seeds \
    --config=experiments/coalesce/configs/digits.py --workdir=DIR --seeds=10
"""

import ml_collections

from coalesce_jax.pipeline import defaults


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The configuration; `variant` is '' or 'quick'."""
  config = defaults.get_config()
  config.seeds = 3
  config.network.width = config.network.critic_width = 16
  config.pretrain.steps = 1000
  config.barycenter.method = 'mixture'
  config.barycenter.steps = 2000
  config.barycenter.fixed_samples = 4000
  config.barycenter.refine_steps = 10
  config.adapt.anchor = 0.9
  config.adapt.rate = 0.03
  config.adapt.decay = True
  defaults.shorten(config, variant)
  if variant == 'quick':
    config.barycenter.fixed_samples = 500
  return config
