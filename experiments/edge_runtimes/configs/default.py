"""A generator on one core: file, start, memory and speed, by runtime.

Each runtime is a process of its own on the same core. Starts are of new
processes, in turns; rates are of living ones, in turns, too. The figures are
medians, and ratios to ONNX Runtime in float32 are medians of the turns' ratios.
PyTorch comes with the extra `[peers]`; what is not installed is left out.

  python -m experiments.edge_runtimes.main --workdir=DIR \
    --config=experiments/edge_runtimes/configs/default.py

`:quick` is a smoke test. Others: `--config.node=edge.safetensors`, a ternary
bundle, instead of random weights; `--config.runtimes='("torch",)'`.
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
      # A ternary bundle; '' is a `dcgan` of random weights, all kernels but
      # the last ternary, with a scale a channel.
      'node': '',
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
