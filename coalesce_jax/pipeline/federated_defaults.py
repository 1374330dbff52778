"""The configuration of federated meta-learning: every field, explained once.

Every field can be overridden on the command line, as in `--config.rounds=500`.
The files that `coalesce federated run --config=FILE` reads start from these
defaults.
"""

import ml_collections

from coalesce_jax.federated import settings
from coalesce_jax.pipeline import variants

_DEFAULT = settings.Config()
# Fields of `settings.Config` that the section 'meta' has.
META = (
  'order', 'one_step', 'second_order', 'learn_rates', 'gate_rate',
  'backbone_rate', 'rho', 'target', 'noise', 'closing', 'nodes', 'at_once',
  'local_steps', 'local_rate', 'server', 'server_rate', 'rates_factor',
  'augment', 'personal_gates',
)  # fmt: skip
# Settings of a smoke test.
_QUICK = {
  'seeds': 1, 'rounds': 4, 'chunk': 2, 'select_every': 2, 'width': 4,
  'per_group': 4, 'tasks': 8, 'fast_compile': True,
}  # fmt: skip


def get_config() -> ml_collections.ConfigDict:
  """Returns the fields."""
  return ml_collections.ConfigDict(
    {
      # 'omniglot', 'mnist_fashion', the name of another data set with labels,
      # or the path of a folder with one sub-folder a class.
      'data': 'digits',
      # Folder where data sets are searched first; '' is none.
      'data_dir': '',
      # How data become nodes. 'alphabets': an alphabet, a group of drawers and
      # a rotation each, of omniglot. 'held_out_classes': some classes each;
      # nodes for test have classes that no other node has. 'classes': some
      # classes each. 'dirichlet': shares of every class.
      'partition': 'classes',
      # Number of nodes; of 'alphabets' it follows from the data.
      'nodes': 24,
      # Nodes for early stopping, and for test (of 'alphabets' all of the test
      # alphabets).
      'validation_nodes': 4,
      'test_nodes': 6,
      # Fewest and most classes of a node.
      'classes': (3, 3),
      # Classes that are held out for test; of 'held_out_classes'.
      'test_classes': 6,
      # Parameter of the Dirichlet distribution.
      'concentration': 0.5,
      # Whether labels are permuted at each node, so that only adaptation tells
      # them; of 'alphabets' they are anew for each task.
      'permute': True,
      # Most images of a class; 0 is all.
      'images': 0,
      # Sizes of a task: classes, images of each to adapt with and to judge by.
      'ways': 3,
      'shots': 5,
      'queries': 5,
      # Seed of the run: keys of the replicas are split from it. Nodes and the
      # order of their labels are those of the seed for all replicas.
      'seed': 0,
      # Replicas that are trained as one program.
      'seeds': 1,
      # 'conv4' or 'resnet', channels of its first map, channels of a group of
      # its norms, residual blocks of 'resnet'.
      'network': 'conv4',
      'width': 16,
      'per_group': 8,
      'blocks': 3,
      # 'input' gates look at the image, 'static' ones do not, or 'none'.
      'gates': 'input',
      # Rounds of federated learning; rounds of a compiled scan; rounds between
      # scores of validation nodes, 0 is none; scores without improvement after
      # which training ends.
      'rounds': 600,
      'chunk': 50,
      'select_every': 100,
      'patience': 8,
      # Tasks of the test.
      'tasks': 200,
      # See `federated.settings`.
      'meta': {name: getattr(_DEFAULT, name) for name in META},
      # Least seconds between two checkpoints.
      'save_seconds': 60.0,
      # Whether programs are compiled in half the time and run slower.
      'fast_compile': False,
    }
  )


def shorten(config: ml_collections.ConfigDict, variant: str) -> None:
  """Makes a smoke test of a configuration, in place, for the variant 'quick'.

  Raises:
    ValueError: another variant.
  """
  if variants.quick(variant):
    for name, value in _QUICK.items():
      config[name] = value
    config.meta.nodes = 4
