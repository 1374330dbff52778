"""Defines the flags of `federated run` and `federated adapt`."""

from ml_collections import config_flags

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions.kinds import Values


def run(values: Values) -> None:
  """Defines the flags of `federated run`."""
  config_flags.DEFINE_config_file(
    'config', None, 'Configuration file, with `:quick` for a smoke test.',
    flag_values=values,
  )  # fmt: skip
  kinds.path(values, 'workdir', None, 'Folder of all that the run leaves.')
  kinds.path(
    values, 'out', None, 'Meta-parameters to write. Default: meta.safetensors '
    'in the work folder.',
  )  # fmt: skip
  training.track(values)


def adapt(values: Values) -> None:
  """Defines the flags of `federated adapt`."""
  kinds.path(values, 'meta', None, 'Meta-parameters of `federated run`.')
  kinds.path(
    values, 'local', None, 'Labelled images: a folder with one sub-folder a '
    'class, or an .npz file with labels. Where labels mean the same at all '
    'nodes, sub-folders have their numbers as names.',
  )  # fmt: skip
  kinds.count(
    values, 'shots', 5, 'Images of each class to adapt to; the others are held '
    'out, to measure the accuracy.', 1, 10_000,
  )  # fmt: skip
  kinds.seed(values)
  kinds.path(
    values, 'out', None, 'File to write: the classifier of this task, without '
    'the channels that its gates close.',
  )  # fmt: skip
