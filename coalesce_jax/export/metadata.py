"""Descriptions of programs, as JSON values.

`make` writes a description, and `parse` reads one that is untrusted. A program
maps latents `[B, Z]` to samples `[B, *image_shape]`; images have channels last
and lie in `value_range`.

Shapes: B batch, Z latent.
"""

from collections.abc import Sequence
import importlib.metadata
import json
from typing import Any

from coalesce_jax.core import files
from coalesce_jax.export import names
from coalesce_jax.models import generator

FORMAT_VERSION = 1
_MAX_SIZE = 1 << 20


def make(
  spec: generator.Spec,
  program: bytes,
  *,
  format: str,
  weights: str,
  tolerance: float,
  max_difference: float,
  source_sha256: str | None,
  packages: Sequence[str],
) -> dict[str, Any]:
  """Makes the description of a program.

  Args:
    spec: the spec of the generator.
    program: bytes of the program, without a description.
    format: 'onnx' or 'stablehlo'.
    weights: 'int2', 'int4' or 'float32'.
    tolerance: largest allowed absolute difference from the samples of JAX.
    max_difference: largest measured absolute difference from them.
    source_sha256: digest of the payload of the bundle that holds the generator,
      if there is one.
    packages: packages to name with their versions, besides this one and JAX.

  Returns:
    The description as plain JSON values.
  """
  return {
    'format_version': FORMAT_VERSION,
    'format': format,
    'network': spec.network,
    'options': dict(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    'value_range': [-1.0, 1.0] if len(spec.image_shape) == 3 else None,
    'weights': weights,
    'opset': names.OPSETS[weights] if format == 'onnx' else None,
    # Programs hold the leaves of other encodings as float32.
    'ternary': spec.encodings.get('ternary'),
    'tolerance': tolerance,
    'max_difference': max_difference,
    'provenance': dict(spec.provenance),
    'source_sha256': source_sha256,
    'program_sha256': files.digest([program]),
    'versions': {
      name: importlib.metadata.version(name)
      for name in ('coalesce_jax', 'jax', *packages)
    },
  }


def parse(text: str) -> dict[str, Any]:
  """Parses an untrusted description.

  Args:
    text: JSON.

  Returns:
    A mapping. Its version is known, its sizes are in [1, 2**20], and its digest
    is a text. Other values are not checked.

  Raises:
    ValueError: damaged, or of another version.
  """
  try:
    found = json.loads(text)
    sizes = [found['latent_size'], *found['image_shape']]
    good = all(type(n) is int and 1 <= n <= _MAX_SIZE for n in sizes)
    if not good or not isinstance(found['program_sha256'], str):
      raise TypeError
    version = found['format_version']
  except (ValueError, KeyError, TypeError, RecursionError):
    raise ValueError('its description is damaged') from None
  if version != FORMAT_VERSION:
    newer = isinstance(version, int) and version > FORMAT_VERSION
    raise ValueError(
      f'format version {str(version)[:20]}, this program reads {FORMAT_VERSION}'
      + ('; a newer coalesce_jax wrote it: update this one' if newer else '')
    )
  return found
