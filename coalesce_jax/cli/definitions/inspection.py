"""Defines the flags of the commands that train nothing."""

from ml_collections import config_flags

from coalesce_jax.cli.definitions import kinds
from coalesce_jax.cli.definitions import training
from coalesce_jax.cli.definitions.kinds import Values
from coalesce_jax.data import datasets
from coalesce_jax.data import pair_names
from coalesce_jax.data import pair_settings
from coalesce_jax.export import names as export_names
from coalesce_jax.metrics import feature_names


def sample(values: Values) -> None:
  """Defines the flags of `sample`."""
  kinds.path(values, 'node', None, 'Bundle, or a file of `export`.')
  kinds.choice(
    values, 'backend', 'jax', ['jax', 'onnx'], 'What runs it: jax a bundle, '
    'onnx a file of `export --format=onnx` on one core. NumPy draws the '
    'latents of onnx: the same seed gives other images.',
  )  # fmt: skip
  kinds.count(values, 'n', 64, 'Number of samples.', 1, 1_000_000)
  kinds.seed(values)
  kinds.path(
    values,
    'out',
    None,
    'File to write, a .png grid or an .npz, or folder for PNGs.',
  )


def evaluate(values: Values) -> None:
  """Defines the flags of `evaluate`."""
  kinds.path(values, 'node', None, 'Bundle.')
  kinds.path(
    values,
    'images',
    None,
    'Real images that were not trained on: a folder, '
    'an array file or the name of a data set.',
  )
  kinds.path(
    values, 'local', None, 'Images that the bundle was trained on, if known.'
  )
  kinds.choice(
    values, 'features', None, feature_names.NAMES,
    'Network whose features are compared. Default: by data set.',
  )  # fmt: skip
  kinds.path(
    values, 'labelled', None,
    'Labelled images on which a feature network is trained; it is kept.',
  )  # fmt: skip
  kinds.count(
    values, 'samples', None, 'Number of generated samples. Default: as many as '
    'real images.', 6, 1_000_000,
  )  # fmt: skip
  kinds.seed(values)


def data(values: Values) -> None:
  """Defines the flags of `data`."""
  kinds.path(
    values,
    'dataset',
    None,
    'Name of a data set, '
    f'{", ".join(datasets.NAMES)}, or path of a folder or array file. '
    f'Image pairs: {", ".join(pair_names.TASKS)}, or '
    f'{", ".join(f"{kind}:DATA" for kind in pair_names.DERIVED)}, where DATA '
    'is a data set or path; or a folder trainA, trainB, or A, B.',
  )
  kinds.path(
    values, 'data_dir', None, 'Folder where data sets are searched first.'
  )
  training.image_shape(values)
  kinds.choice(
    values, 'layout', None, pair_settings.LAYOUTS, 'How a folder holds image '
    'pairs: aligned are files A|B side by side or folders A and B, unaligned '
    'are trainA and trainB. Default: found by the names of folders.',
  )  # fmt: skip
  kinds.path(
    values, 'preview', None, 'A .png to write with some of the images; of '
    'pairs, condition and target side by side.',
  )  # fmt: skip


def export(values: Values) -> None:
  """Defines the flags of `export`."""
  kinds.path(
    values, 'node', None, 'Bundle of a generator, or of a translator, whose '
    'program takes images of any size.',
  )  # fmt: skip
  kinds.choice(
    values, 'format', 'onnx', sorted(export_names.WEIGHTS), 'Kind of program.'
  )
  kinds.choice(
    values, 'weights', None, list(export_names.WEIGHTS['onnx']),
    'Type of ternary leaves. In ONNX, int2 needs opset 25 (ONNX Runtime 1.24), '
    'int4 opset 21 (OpenVINO, ONNX Runtime 1.20), float32 opset 17 (also older '
    'runtimes). int8 rounds the kernels of a translator to 8 bits, opset 17. '
    'Default: int2 for a ternary bundle, float32 for another.',
  )  # fmt: skip
  kinds.path(
    values, 'out', None, 'File to write; StableHLO also writes OUT.json.'
  )


def share(values: Values) -> None:
  """Defines the flags of `share`."""
  kinds.path(values, 'node', None, 'Bundle.')
  kinds.path(
    values, 'out', None, 'Folder for the bundle without its critic, ONNX '
    'programs, config.json and a model card. Nothing is uploaded.',
  )  # fmt: skip
  kinds.string(
    values, 'license', None, 'License of the model for its card, as model hubs '
    'name it, such as cc-by-4.0. Default: the card says that none is stated.',
  )  # fmt: skip
  kinds.path(
    values, 'pictures', None, 'Picture, or folder of pictures, that the card '
    'of a translator shows beside their translations. Default: none is shown.',
  )  # fmt: skip


def zoo(values: Values) -> None:
  """Defines the flags of `zoo`."""
  del values  # It has those of every command alone.


def run(values: Values) -> None:
  """Defines the flags of `run`."""
  config_flags.DEFINE_config_file(
    'config', None, 'Configuration file, with `:quick` for a smoke test.',
    flag_values=values,
  )  # fmt: skip
  kinds.path(values, 'workdir', None, 'Folder of all that the run leaves.')
  training.track(values)


def report(values: Values) -> None:
  """Defines the flags of `report`."""
  kinds.path(values, 'workdir', None, 'Work folder of any command.')
