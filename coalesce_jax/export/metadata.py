"""What a program says about itself, as JSON: written by us, read as untrusted.

The samples' layout is JAX's: `[B, *image_shape]`, images in `value_range`.
"""

from collections.abc import Sequence
import importlib.metadata
import json
from typing import Any

from coalesce_jax.core import files
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
  """The description of a program.

  Args:
    spec: of the generator.
    program: its bytes, without a description.
    format: 'onnx' or 'stablehlo'.
    weights: 'int2', 'int4' or 'float32'.
    tolerance: the largest absolute difference from JAX that was allowed.
    max_difference: the one that was measured.
    source_sha256: that of the payload of the bundle it comes from, if any.
    packages: those, beyond this one and JAX, whose versions matter.
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
    # Null where no leaf is ternary; other encodings are named where used.
    'ternary': None,
    **{name: dict(described) for name, described in spec.encodings.items()},
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
  """A description whose version, sizes and digest can be relied on.

  Raises:
    ValueError: it is none.
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
    raise ValueError(
      f'format version {str(version)[:20]}, this program reads {FORMAT_VERSION}'
    )
  return found
