"""A generator on one core: file, start, memory and speed, by runtime.

Each runtime is a process of its own on the same core. Starts are of new
processes, in turns; rates are of living ones, in turns, too. The figures are
medians, and ratios to ONNX Runtime in float32 are medians of the turns' ratios.
PyTorch comes with the extra `[peers]`; what is not installed is left out.

  python -m experiments.edge_runtimes.main --workdir=DIR \
    --config=experiments/edge_runtimes/configs/default.py

`:quick` is a smoke test. Others: `--config.node=edge.safetensors`, a bundle
instead of random weights; `--config.runtimes='("torch",)'`. Rows of few bits
need a ternary bundle. With `--config.large=large.safetensors` the generator
from which the node was made has a row as well, and with
`--config.features=mnist` rows have the Frechet distance of their own samples.
"""

import ml_collections

from coalesce_jax.pipeline import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """For one core; `quick`: a small generator, one start.

  Raises:
    ValueError: another variant.
  """
  quick = variants.quick(variant)
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      # A bundle; '' is a `dcgan` of random weights, all kernels but the last
      # ternary, with a scale a channel.
      'node': '',
      # A bundle of the generator from which the node was made; '' is none.
      'large': '',
      # Data set whose test images samples are compared with, in the features of
      # its classifier; '' is none.
      'features': '',
      # Samples of each Frechet distance.
      'samples': 5000,
      'width': 64,
      'size': 28,
      'channels': 1,
      'latent_size': 64,
      # Names of `runtimes.TABLE`; empty is all.
      'runtimes': (),
      # Which of the cores that this process may use; -1 is the last.
      'core': -1,
      'cold': {'rounds': 7},
      # A timed slice of a living process takes about so many seconds.
      'speed': {'rounds': 15, 'seconds': 0.2, 'batches': (1, 64)},
    }
  )
  if quick:
    config.width, config.size, config.latent_size = 4, 8, 8
    config.cold.rounds = 1
    config.speed.rounds, config.speed.seconds = 3, 0.02
  return config
