"""What the configurations of continual learning have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from coalesce_jax.pipeline import variants

# Rows by name, in the order in which they are trained.
LEARNERS: Mapping[str, tuple[str, dict[str, Any]]] = {
  'standalone': ('standalone', {}),
  'sequential': ('sequential', {}),
  'piggyback_1_4': ('piggyback', {'share': 0.25}),
  'piggyback_random_start': ('piggyback', {'share': 0.25, 'start': 'random'}),
  # A bank of random filters of the same norms. Its tasks start at random, so
  # that the row above is beside it.
  'random_bank': ('piggyback', {'share': 0.25, 'bank': 'random'}),
  # A network of its own for each task, of as many parameters as lambda adds.
  'narrower': ('narrower', {'share': 0.25}),
  'scale_shift': ('scale_shift', {}),
  'ewc': ('ewc', {}),
  'l2': ('l2', {}),
  'replay': ('replay', {'samples': 256}),
  'joint': ('joint', {}),
  'distillation': ('distillation', {}),
  'low_rank': ('low_rank', {'rank': 4}),
  'adapters': ('adapters', {}),
  'taps': ('taps', {}),
  'taps_sparse': ('taps', {'weight': 3.0}),
  'last_layer': ('last_layer', {}),
  'piggyback_1_2': ('piggyback', {'share': 0.5}),
  'piggyback_1_8': ('piggyback', {'share': 0.125}),
  'piggyback_0': ('piggyback', {'share': 0.0}),
  'piggyback_1': ('piggyback', {'share': 1.0}),
  'adapters_similar': ('adapters', {'similar': True}),
}


# Weights that were the best of those tried for the mean score after the last of
# the first three or four tasks, of one seed that no table has, at 300 steps.
# Tried for EWC: 1, 30, 1000 in translation, .01, .1, 1, 10 in latents; for the
# distillation 1, 10, 100 in translation. The penalty of L2 has the same scale.
WEIGHTS: Mapping[str, Mapping[str, float]] = {
  'translation': {'l2': 30.0, 'ewc': 30.0, 'distillation': 100.0},
  'latents': {'l2': 1.0, 'ewc': 1.0, 'distillation': 10.0},
}
# Rows that need pairs of images.
_PAIRED = ('adapters_similar',)


def config(
  kind: str, tasks: Sequence[str], only: Sequence[str] = (), **fields: Any
) -> ml_collections.ConfigDict:
  """Returns a configuration.

  Args:
    kind: 'translation' or 'latents'.
    tasks: 'NAME=DATA' of each task.
    only: names of the rows; () is all of them.
    **fields: other values of fields.
  """
  names = tuple(only) or tuple(
    name for name in LEARNERS if kind == 'translation' or name not in _PAIRED
  )
  weights = WEIGHTS[kind]
  return ml_collections.ConfigDict(
    {
      'kind': kind,
      'tasks': tuple(tasks),
      'seed': 0,
      # Replicas of every trial, as one program.
      'seeds': 3,
      # Folder where packages and data sets are searched first; '' is none.
      'data_dir': '',
      # Most images of a task for training; 0 is all.
      'images': 0,
      # Side of images of pairs.
      'side': 32,
      # Generator steps of each task.
      'steps': 1000,
      'width': 16,
      'critic_width': 16,
      'latent_size': 32,
      # Those of the method if 0.
      'batch_size': 0,
      'learning_rate': 0.0,
      # Whether programs are compiled in half the time and run slower.
      'fast_compile': False,
      # Samples of each score of latents.
      'samples': 2000,
      # Learners by name of the row, with their options.
      'rows': {
        name: {
          'learner': LEARNERS[name][0],
          'options': {
            **LEARNERS[name][1],
            **({'weight': weights[name]} if name in weights else {}),
          },
        }
        for name in names
      },
      # Names of rows; () is all of them.
      'only': (),
      **fields,
    }
  )


def shorten(config: ml_collections.ConfigDict, variant: str) -> None:
  """Makes a smoke test of a configuration, in place, for 'quick'.

  Raises:
    ValueError: another variant.
  """
  if not variants.quick(variant):
    return
  config.seeds, config.side, config.images = 1, 32, 64
  config.steps, config.width, config.critic_width = 4, 4, 4
  config.batch_size, config.samples, config.latent_size = 4, 100, 8
  config.tasks, config.fast_compile = config.tasks[:2], True
