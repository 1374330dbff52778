"""Defines the flags of `stream run`, `add`, `apply` and `export`."""

from ml_collections import config_flags

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions.kinds import Values
from coalesce_jax.continual import settings
from coalesce_jax.data import pair_settings


def run(values: Values) -> None:
  """Defines the flags of `stream run`."""
  config_flags.DEFINE_config_file(
    'config', None, 'Configuration file, with `:quick` for a smoke test.',
    flag_values=values,
  )  # fmt: skip
  kinds.path(values, 'workdir', None, 'Folder of all that the run leaves.')
  kinds.path(
    values, 'out', None, 'Family to write, of the learner piggyback. Default: '
    'family.safetensors in the work folder.',
  )  # fmt: skip
  training.track(values)


def add(values: Values) -> None:
  """Defines the flags of `stream add`."""
  defaults = settings.Piggyback()
  _family(values)
  kinds.path(
    values, 'data', None, 'Data of the new task: name of a task of '
    'translation, or a folder or .npz file of pairs; of generators of latents '
    'a data set or folder of images, with classes as in mnist:0-4.',
  )  # fmt: skip
  kinds.string(
    values, 'name', None, 'Name of the new task. Default: that of its data.'
  )
  kinds.path(
    values, 'out', None, 'Larger family to write. Default: the family is '
    'replaced. The parameters of its tasks stay, byte for byte.',
  )  # fmt: skip
  kinds.path(
    values, 'data_dir', None, 'Folder where data sets are searched first.'
  )
  kinds.choice(
    values, 'direction', 'AtoB', pair_settings.DIRECTIONS,
    'Which images of pairs are translated to which.',
  )  # fmt: skip
  kinds.choice(
    values, 'layout', None, pair_settings.LAYOUTS,
    'Layout of a folder of pairs. Default: found by looking.',
  )  # fmt: skip
  kinds.number(
    values, 'share', defaults.share, 'Lambda, the share of filters that the '
    'task learns anew; it mixes the others of those of earlier tasks.',
    0.0, 1.0,
  )  # fmt: skip
  kinds.choice(
    values, 'start', defaults.start, settings.STARTS,
    'copy starts as the first task, random as a new network.',
  )  # fmt: skip
  kinds.count(values, 'steps', 1000, 'Number of generator steps.')
  kinds.seed(values)
  kinds.count(
    values, 'critic_width', 32, "Channels of the critic's first map; of pairs.",
    1, 4096,
  )  # fmt: skip
  kinds.count(
    values, 'batch_size', 0, 'Images in a batch; 0 is that of the method.',
    0, 4096,
  )  # fmt: skip
  kinds.number(
    values, 'learning_rate', 0.0,
    'Learning rate of both Adams; 0 is that of the method.', 0.0, 1.0,
  )  # fmt: skip
  training.track(values)
  kinds.path(
    values, 'workdir', None, 'Folder of records and checkpoints. Default: '
    'OUT.NAME.run beside the result.',
  )  # fmt: skip


def apply(values: Values) -> None:
  """Defines the flags of `stream apply`."""
  _family(values)
  _task(values)
  kinds.path(
    values, 'input', None, 'Picture to translate, of any size, or folder of '
    'pictures. Generators of latents need none.',
  )  # fmt: skip
  kinds.path(
    values, 'out', None, 'File to write, .png, for one picture; folder for a '
    'folder. Of latents a .png grid, an .npz, or folder for PNGs.',
  )  # fmt: skip
  kinds.count(
    values, 'tile', 512, 'Largest side that is translated at once.', 32, 8192
  )
  kinds.count(values, 'n', 64, 'Number of samples, of latents.', 1, 1_000_000)
  kinds.seed(values)


def export(values: Values) -> None:
  """Defines the flags of `stream export`."""
  _family(values)
  _task(values)
  kinds.path(
    values, 'out', None, 'Bundle to write; `export` makes programs of it.'
  )


def inspect(values: Values) -> None:
  """Defines the flags of `inspect`."""
  kinds.path(values, 'node', None, 'Bundle or family.')


def _family(values: Values) -> None:
  kinds.path(values, 'family', None, 'Family of `stream run`.')


def _task(values: Values) -> None:
  kinds.string(values, 'task', None, 'Name of a task of the family.')
