"""The configuration of the pipeline: every field, explained once.

A configuration is a nested `ml_collections.ConfigDict`. Every field can be
overridden on the command line, as in `--config.adapt.steps=500`. The files that
`coalesce run --config=FILE` reads start from these defaults.
"""

import dataclasses
from typing import Any

import ml_collections

from coalesce_jax.gan import config as game_lib
from coalesce_jax.methods import settings
from coalesce_jax.pipeline import variants

# Fields of a game that the configuration has.
_GAME = (
  'batch_size', 'critic_steps', 'generator_batches', 'learning_rate', 'beta1',
  'beta2', 'penalty', 'ema', 'precision',
)  # fmt: skip


def get_config() -> ml_collections.ConfigDict:
  """Returns the fields; settings of stages are those of their dataclasses."""
  game = game_lib.Config()
  pretrain, barycenter = settings.Pretraining(), settings.Barycenter()
  adapt, ternary = settings.FineTuning(), settings.TERNARIZE
  how = ternary.ternary
  assert how is not None
  return ml_collections.ConfigDict(
    {
      # Data set by name, or a folder or array file of the user's.
      'dataset': 'digits',
      # Folder where data sets are searched first; '' is none.
      'data_dir': '',
      # Classes a node: 'overlapping', 'disjoint', 'one_class' or explicit,
      # '0-4|5-9->0-9'.
      'split': 'overlapping',
      # Number of images at the edge node.
      'local_samples': 100,
      # Seed of the run, from which all keys come.
      'seed': 0,
      # Replicas that are trained as one program, each from a seed of its own.
      'seeds': 1,
      # A file may add `options` for a generator without a width, such as
      # {'hidden': (128, 128), 'output': 'tanh'} for the network 'mlp'.
      'network': {
        # Architecture of the generators.
        'name': 'dcgan',
        # Channels of the generator's last hidden layer.
        'width': 24,
        # Channels of the critic's first layer.
        'critic_width': 24,
        # Number of random values that an image is made of.
        'latent_size': 64,
        # Normalisation of the generator's layers.
        'norm': 'layer',
        # Another critic by name, '' for one like the generator; `cones`,
        # `envelopes` and `groupsort` need no penalty, and the cones far larger
        # rates.
        'critic': '',
        # Options of each critic that `critic` may name.
        'critic_options': {
          'cones': {'count': 512, 'scale': 1.0, 'temperature': 0.4},
          'envelopes': {'count': 256, 'scale': 1.0, 'temperature': 0.4},
          'groupsort': {'hidden': (128, 128)},
          'mlp': {'hidden': (128, 128)},
        },
      },
      # Settings of every game; a stage may replace them. `critic_learning_rate`
      # of 0 is that of the generator.
      'game': {
        **{name: getattr(game, name) for name in _GAME},
        'critic_learning_rate': game.critic_learning_rate or 0.0,
      },
      # `decay`: rates fall linearly to zero over the steps.
      'pretrain': {**_schedule(pretrain), 'decay': pretrain.decay},
      'barycenter': {
        **_schedule(barycenter),
        'decay': barycenter.decay,
        'warmup': settings.BARYCENTER_WARMUP,
        # How the barycenter is learned: 'joint', 'recursive' or 'mixture'.
        'method': 'joint',
        # '' is the default of `coalesce_jax.barycenter`.
        'objective': '',
        # Samples of each node that are drawn once; 0 draws fresh ones.
        'fixed_samples': barycenter.fixed_samples,
        # Steps that each of these is moved by its node's critic
        # (`gan/refined_source.py`). They are those of 'all_nodes' too.
        'refine_steps': 0,
        # Start from the first node's generator, else from a new one.
        'warm_generator': barycenter.start is not None,
        # Start from the critics of the nodes, else from new ones.
        'warm_critics': barycenter.warm_critics,
      },
      # Of adaptation and, but for the anchor, of every baseline.
      'adapt': {
        **_schedule(adapt),
        'warmup': settings.WARMUP,
        'anchor': adapt.anchor,
        # Of adaptation alone, a factor of the learning rate; `transfer` has
        # its own.
        'rate': adapt.rate,
        # Of adaptation alone: rates fall linearly to zero over the steps.
        'decay': adapt.decay,
        'objective': adapt.game.objective,
        'augment': adapt.game.augment,
        'held_out': adapt.held_out,
        # Steps between two points of the curves; 0 draws none.
        'observe_every': 100,
        # Steps between two scores of early stopping; 0 is none.
        'select_every': adapt.schedule.select_every,
        'patience': adapt.schedule.patience,
      },
      'transfer': {
        # Factor of the learning rates.
        'rate': 0.1,
        # Patterns of critic leaves that keep their values.
        'freeze': (),
      },
      'ternary': {
        **_schedule(ternary),
        'warmup': settings.WARMUP,
        'anchor': ternary.anchor,
        'objective': ternary.game.objective,
        **dataclasses.asdict(how),
      },
      # Methods to run; the report has one row each. 'ensemble_long' is the
      # baseline 'ensemble' with the steps of barycenter and adaptation.
      'methods': (
        'edge_only',
        'transfer',
        'ensemble',
        'model_average',
        'all_nodes',
        'barycenter',
        'adapted',
        'ternary',
      ),  # fmt: skip
      'evaluate': {
        # Generated images for each score.
        'samples': 2000,
        # Generated images for each point of the curves.
        'curve_samples': 1000,
        # Feature network by name, such as 'imagenet'; '' is that of the data
        # set.
        'features': '',
      },
      # Compile with few optimizations on a CPU: for runs of a few steps.
      'fast_compile': False,
      # Least seconds between two checkpoints.
      'save_seconds': 30.0,
    }
  )


def _schedule(stage: Any) -> dict[str, int]:
  return {'steps': stage.schedule.steps, 'chunk': stage.schedule.chunk}


def shorten(config: ml_collections.ConfigDict, variant: str) -> None:
  """Changes a configuration in place for the variant of this name.

  Args:
    config: fields of `get_config`.
    variant: '' changes nothing; 'quick' leaves a few steps a stage.

  Raises:
    ValueError: another variant.
  """
  if variants.quick(variant):
    for stage in ('pretrain', 'barycenter', 'adapt', 'ternary'):
      config[stage].steps = 40
      config[stage].chunk = 20
    config.barycenter.warmup = 10
    config.adapt.warmup = config.ternary.warmup = 10
    config.adapt.observe_every = 20
    config.evaluate.samples = 500
    config.evaluate.curve_samples = 200
    config.seeds = 1
    config.fast_compile = True
    # Compiling each of the others takes ten seconds.
    left_out = ('edge_only', 'ensemble', 'model_average')
    config.methods = tuple(m for m in config.methods if m not in left_out)
