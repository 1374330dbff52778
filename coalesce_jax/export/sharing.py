"""Makes the files of a bundle that a model hub expects, with a model card.

| file | contents |
|---|---|
| `model.safetensors` | the bundle without its critic |
| `config.json` | architecture, provenance, and the size of every file |
| `README.md` | model card: what it is, what it was made from, how to load it |
| `model.onnx` | ONNX program with float32 weights |
| `model_int4.onnx` | ONNX program with ternary weights in 4 bits |
| `example.png` | pictures, and what a translator makes of them |

The last two files are there for ternary networks, and for translators if
pictures are given. Nothing is uploaded.
"""

from collections.abc import Mapping
import json
import os
import pathlib

from coalesce_jax.core import files
from coalesce_jax.core import replacing
from coalesce_jax.core import trees
from coalesce_jax.export import card
from coalesce_jax.export import export
from coalesce_jax.models import bundle
from coalesce_jax.models import translator as translator_lib

FORMAT_VERSION = 1
BUNDLE, CONFIG, CARD = 'model.safetensors', 'config.json', 'README.md'
PROGRAMS = {'model.onnx': 'float32', 'model_int4.onnx': 'int4'}
_KINDS = {
  BUNDLE: replacing.BUNDLE,
  CONFIG: replacing.SHARED_CONFIG,
  CARD: replacing.CARD,
  **dict.fromkeys(PROGRAMS, replacing.ONNX),
  card.EXAMPLE: replacing.PNG,
}


def check(folder: str | os.PathLike[str]) -> None:
  """Checks that a folder has no file of others at the place of ours.

  Raises:
    ValueError: it has one; one line.
  """
  for name, kind in _KINDS.items():
    replacing.check_file(pathlib.Path(folder) / name, kind)


def build(
  generator: translator_lib.Model,
  *,
  source_sha256: str,
  name: str,
  scores: Mapping[str, float] | None = None,
  license: str | None = None,
  example: bytes | None = None,
) -> dict[str, bytes]:
  """Makes all files in memory, after each program was verified.

  Args:
    generator: one generator or translator, without ensemble axes.
    source_sha256: digest of the payload of the bundle that holds it.
    name: name of the model, for its card.
    scores: scores by name, if they are known.
    license: license of the model, see `card.check_license`.
    example: PNG with columns of inputs and of results, for a translator.

  Returns:
    Contents by name of the file.

  Raises:
    ValueError: a package is not installed, ONNX cannot express the generator,
      or the license is no name.
  """
  card.check_license(license)
  contents = {BUNDLE: bundle.encode(generator, critic=False, packing='2bit')}
  differences = {}
  for file, weights in PROGRAMS.items():
    if weights == 'int4' and 'ternary' not in generator.spec.encodings:
      continue
    program = export.build(
      generator, format='onnx', weights=weights, source_sha256=source_sha256
    )
    contents[file] = program.contents['']
    differences[file] = program.metadata['max_difference']
  if example is not None:
    contents[card.EXAMPLE] = example
  spec = generator.spec
  more = {}
  if spec.condition_shape is not None:
    more['condition_shape'] = list(spec.condition_shape)
  described = {
    'model_type': 'coalesce_jax',
    'format_version': FORMAT_VERSION,
    'name': name,
    'license': license,
    'network': spec.network,
    'options': dict(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    **more,
    'value_range': [-1.0, 1.0],
    'encodings': dict(spec.encodings),
    'parameters': trees.count(generator.params),
    'provenance': dict(spec.provenance),
    'source_sha256': source_sha256,
    'scores': dict(scores or {}),
    'files': {
      file: {'bytes': len(data), 'sha256': files.digest([data])}
      for file, data in contents.items()
    },
  }
  contents[CONFIG] = (json.dumps(described, indent=2) + '\n').encode()
  contents[CARD] = card.write(described, differences).encode()
  return contents


def keep(
  folder: str | os.PathLike[str], contents: Mapping[str, bytes]
) -> list[str]:
  """Writes all files, or none; removes those of an earlier model.

  Returns:
    The paths.
  """
  folder = pathlib.Path(folder)
  check(folder)
  files.write_all({folder / name: data for name, data in contents.items()})
  for name in _KINDS.keys() - contents.keys():
    (folder / name).unlink(missing_ok=True)
  return [str(folder / name) for name in contents]
