"""Weak classifiers of Fashion-MNIST, combined by Wasserstein barycenters.

  python -m experiments.ensembling.main --workdir=DIR

Each model sees a few hundred images, with other shares of the classes than the
others see, so that it knows some classes badly and votes for similar ones. The
similarity of classes is how often the models confuse them on validation images,
which have no part in training. A trial is one seed.

Methods with settings (epsilon, the penalty of the marginals) take the setting
of least semantic error on the validation images, among those that are as
accurate there as the geometric mean, less `slack`. The control permutes the
classes of the similarity, and selects its settings likewise.

The semantic error of a class is 0 for the label, 1/2 for another class of its
group, and 1 for another group (`experiments.ensembling.semantics`).

It takes three minutes on one core. What was found: docs/results/ensembling.md.

`:quick` is a smoke test. Others: `--config.dataset=cifar10`,
`--config.images=1000`.
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
      # A data set of `experiments.ensembling.semantics`.
      'dataset': 'fashion_mnist',
      # Folder where data sets are searched first; '' is none.
      'data_dir': '',
      'seed': 0,
      # Trials.
      'seeds': 5,
      'models': 8,
      # Training images of each model.
      'images': 200,
      # Of the Dirichlet distribution of the shares of classes. Small numbers
      # make models that know few classes.
      'concentration': 1.0,
      'validation': 2000,
      # Test images; 0 is all.
      'test': 0,
      'width': 8,
      'steps': 200,
      'batch_size': 32,
      'learning_rate': 2e-3,
      'epsilons': (0.15, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5),
      # In units of epsilon.
      'marginal_weights': (0.3, 1.0, 3.0),
      'iterations': 50,
      # Accuracy below that of the geometric mean that a setting may have.
      'slack': 0.002,
      # Random predictions that are combined beside POT, in turns; 0 repeats
      # leave the trial out.
      'speed': {
        'repeats': 3,
        'models': 10,
        'predictions': 10_000,
        'classes': 100,
        'epsilons': (0.1, 0.02),
        'iterations': 100,
      },
    }
  )
  if quick:
    config.seeds, config.models, config.images = 2, 3, 60
    config.validation, config.test, config.width = 200, 200, 4
    config.steps, config.iterations = 10, 10
    config.speed.repeats, config.speed.models = 1, 3
    config.speed.predictions, config.speed.classes = 20, 8
    config.epsilons, config.marginal_weights = (0.25, 1.0), (1.0,)
  return config
