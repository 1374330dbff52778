"""The bundles that the package ships: nodes and their metamodel.

  coalesce run --config=experiments/zoo/configs/default.py:mnist --workdir=DIR

The variants are 'mnist' and 'fashion_mnist', each with the nodes {0-4} and
{5-9}. `python -m experiments.zoo.collect` then copies the bundles into the
package. About 15 minutes each on two cores.
"""

import ml_collections

from experiments.coalesce.configs import images

DATASETS = ('mnist', 'fashion_mnist')


def get_config(variant: str = 'mnist') -> ml_collections.ConfigDict:
  """Returns the configuration.

  Args:
    variant: name of the data set.

  Raises:
    ValueError: another variant.
  """
  if variant not in DATASETS:
    raise ValueError(f'variant {variant!r} is not one of {DATASETS}')
  config = images.get_config()
  config.dataset = variant
  config.network.width = config.network.critic_width = 12
  config.pretrain.steps = 4000
  config.barycenter.method = 'mixture'
  config.barycenter.steps = 4000
  config.barycenter.warm_generator = False
  config.barycenter.fixed_samples = 8000
  config.barycenter.refine_steps = 10
  config.methods = ('barycenter',)
  config.evaluate.samples = 10000
  return config
