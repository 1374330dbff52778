"""Descriptions of programs, as JSON values.

`make` writes a description, and `parse` reads one that is untrusted. A program
maps latents `[B, Z]` to samples `[B, *image_shape]`; images have channels last
and lie in `value_range`.

A program of a translator maps images `[B, H, W, C]` to images `[B, H, W, D]`
for any batch and sides; `condition_shape` (H, W, C) and `image_shape` (H, W, D)
name the sides in training. The description says in `sides` to which `multiple`
and to which side at least (`padded`) it pads images, and the `least` side that
it takes.

Shapes: B batch, Z latent.
"""

from collections.abc import Sequence
import importlib.metadata
import json
from typing import Any

from coalesce_jax.core import files
from coalesce_jax.export import names
from coalesce_jax.models import generator
from coalesce_jax.models import translator
from coalesce_jax.networks import translators

FORMAT_VERSION = 1
_MAX_SIZE = 1 << 20
_SIDES = {'least', 'multiple', 'padded'}


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
  rounding_difference: float | None = None,
) -> dict[str, Any]:
  """Makes the description of a program.

  Args:
    spec: the spec of the generator.
    program: bytes of the program, without a description.
    format: 'onnx' or 'stablehlo'.
    weights: 'int2', 'int4', 'float32' or 'int8'.
    tolerance: largest allowed absolute difference from the samples of JAX.
    max_difference: largest measured absolute difference from them. JAX has the
      weights that the program has.
    source_sha256: digest of the payload of the bundle that holds the generator,
      if there is one.
    packages: packages to name with their versions, besides this one and JAX.
    rounding_difference: largest measured absolute difference that rounding the
      weights makes, for 'int8'.

  Returns:
    The description as plain JSON values.
  """
  more: dict[str, Any] = {}
  if spec.condition_shape is not None:
    options = dict(spec.options)
    multiple, padded = translators.padded_sides(spec.network, options)
    more['condition_shape'] = list(spec.condition_shape)
    more['sides'] = {
      'least': translator.LEAST_SIDE,
      'multiple': multiple,
      'padded': padded,
    }
  if rounding_difference is not None:
    more['rounding_difference'] = rounding_difference
  return {
    'format_version': FORMAT_VERSION,
    'format': format,
    'network': spec.network,
    'options': dict(spec.options),
    'latent_size': spec.latent_size,
    'image_shape': list(spec.image_shape),
    **more,
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
    is a text. One with a `condition_shape` has `sides`, as `make` gives them,
    and no latents. Other values are not checked.

  Raises:
    ValueError: damaged, or of another version.
  """
  try:
    found = json.loads(text)
    sizes = [*found['image_shape']]
    if 'condition_shape' in found:
      sizes += [*found['condition_shape'], *found['sides'].values()]
      good = len(sizes) == 9 and set(found['sides']) == _SIDES
      good &= found['latent_size'] == 0
    else:
      sizes.append(found['latent_size'])
      good = True
    good &= all(type(n) is int and 1 <= n <= _MAX_SIZE for n in sizes)
    if not good or not isinstance(found['program_sha256'], str):
      raise TypeError
    version = found['format_version']
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    raise ValueError('its description is damaged') from None
  if version != FORMAT_VERSION:
    newer = isinstance(version, int) and version > FORMAT_VERSION
    raise ValueError(
      f'format version {str(version)[:20]}, this program reads {FORMAT_VERSION}'
      + ('; a newer coalesce_jax wrote it: update this one' if newer else '')
    )
  return found
