"""The configuration of the pipeline: every field, explained once.

A configuration is a nested `ml_collections.ConfigDict`. Every field can be
overridden on the command line, as in `--config.adapt.steps=500`. The files that
`coalesce run --config=FILE` reads start from these defaults.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the fields, with values for small images of one channel."""
  return ml_collections.ConfigDict(
    {
      # Data set by name, or a folder or array file of the user's.
      'dataset': 'digits',
      'data_dir': '',
      # Classes a node: 'overlapping', 'disjoint', 'one_class' or explicit,
      # '0-4|5-9->0-9'.
      'split': 'overlapping',
      'local_samples': 100,
      'seed': 0,
      # Replicas that are trained as one program, each from a seed of its own.
      'seeds': 1,
      # A file may add `options` for a generator without a width, such as
      # {'hidden': (128, 128), 'output': 'tanh'} for the network 'mlp'.
      'network': {
        'name': 'dcgan',
        'width': 24,
        'critic_width': 24,
        'latent_size': 64,
        'norm': 'layer',
        # Another critic by name, '' for one like the generator; `cones`,
        # `envelopes` and `groupsort` need no penalty, and the cones far larger
        # rates.
        'critic': '',
        'critic_options': {
          'cones': {'count': 512, 'scale': 1.0, 'temperature': 0.4},
          'envelopes': {'count': 256, 'scale': 1.0, 'temperature': 0.4},
          'groupsort': {'hidden': (128, 128)},
          'mlp': {'hidden': (128, 128)},
        },
      },
      # Settings of every game; a stage may replace them.
      'game': {
        'batch_size': 64,
        'critic_steps': 3,
        # Batches that make one step of the generator.
        'generator_batches': 1,
        # Generators of MNIST have Frechet distances of 152, 84 and 53 after
        # 2,000 steps at 5e-4, 1.5e-3 and 5e-3 (width 16, momentum .5).
        'learning_rate': 5e-3,
        # Of the critics; 0 is that of the generator.
        'critic_learning_rate': 0.0,
        # Width 16, 4,000 steps, all of MNIST: 31 without momentum, 43 with .5.
        'beta1': 0.0,
        'beta2': 0.9,
        'penalty': 'two_sided',
        'ema': 0.995,
        # Of the networks' products: 'float32', 'tensorfloat32', 'bfloat16'.
        'precision': 'float32',
      },
      # `decay`: rates fall linearly to zero over the steps.
      'pretrain': {'steps': 3000, 'chunk': 50, 'decay': True},
      'barycenter': {
        'steps': 1000,
        'chunk': 50,
        'decay': True,
        'warmup': 100,
        'method': 'joint',
        # '' is the default of `coalesce_jax.barycenter`.
        'objective': '',
        # Samples of each node that are drawn once, and steps that each is moved
        # by its own critic (`gan/refined_source.py`); 0 draws fresh ones.
        # The steps are those of 'all_nodes' too.
        'fixed_samples': 0,
        'refine_steps': 0,
        # Start from the first node's generator, and from the nodes' critics;
        # else from new ones.
        'warm_generator': True,
        'warm_critics': True,
      },
      # Of adaptation and, but for the anchor, of every baseline.
      'adapt': {
        'steps': 500,
        'chunk': 25,
        'warmup': 50,
        'anchor': 0.5,
        # Of adaptation alone, a factor of the learning rate; `transfer` has
        # its own.
        'rate': 1.0,
        'objective': 'w1_squared',
        'augment': 'translation',
        'held_out': 0.1,
        # Steps between two points of the curves; 0 draws none.
        'observe_every': 100,
        # Steps between two scores of early stopping; 0 is none.
        'select_every': 0,
        'patience': 5,
      },
      'transfer': {'rate': 0.1, 'freeze': ()},
      'ternary': {
        'steps': 1500,
        'chunk': 50,
        'warmup': 50,
        'anchor': 0.75,
        'objective': 'w1',
        'scheme': 'truncated_gaussian',
        'granularity': 'channel',
        'leaves': ('(?!out/).*kernel',),
        'threshold_init': 'sigma',
        'thresholds_first': True,
        'distill': 100.0,
        # Ternary critics too.
        'critic': False,
      },
      # Methods to run; the report has one row each.
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
      # Features: '' by data set, or 'imagenet' and others by name.
      'evaluate': {'samples': 2000, 'curve_samples': 1000, 'features': ''},
      'save_seconds': 30.0,
      'tensorboard': False,
    }
  )


def shorten(config: ml_collections.ConfigDict, variant: str) -> None:
  """Changes a configuration in place for the variant of this name.

  Args:
    config: fields of `get_config`.
    variant: '' changes nothing; 'quick' leaves a few steps a stage.

  Raises:
    ValueError: another variant.
  """
  if variant not in ('', 'quick'):
    raise ValueError(f"variant {variant!r} is not '' or 'quick'")
  if variant == 'quick':
    for stage in ('pretrain', 'barycenter', 'adapt', 'ternary'):
      config[stage].steps = 40
      config[stage].chunk = 20
    config.barycenter.warmup = 10
    config.adapt.warmup = config.ternary.warmup = 10
    config.adapt.observe_every = 20
    config.evaluate.samples = 500
    config.evaluate.curve_samples = 200
    config.seeds = 1
