"""Exports of generators and translators as programs without this package.

Every program is verified before it is written. The runtime of its format runs
the program at random inputs, see `verification`. The largest absolute
difference from the samples of JAX must be within the tolerance of the format.
Pixels lie in [-1, 1].

Shapes: B batch, Z latent, H, W, C, D image.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import importlib
import json
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.export import metadata as metadata_lib
from coalesce_jax.export import names
from coalesce_jax.export import stablehlo
from coalesce_jax.export import verification
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry
from coalesce_jax.transforms import int8

Run = Callable[[np.ndarray], Any]


class Format(NamedTuple):
  """Describes one format of programs.

  Attributes:
    weights: the ways to write weights, the preferred one first. Each maps to
      the encoding in `Spec.encodings` whose leaves it writes in few bits, or to
      None where every leaf is float32.
    packages: packages of the extra `export` that the format needs.
    tolerance: largest allowed absolute difference from the samples of JAX.
    check: ``spec -> None``, raises ValueError for a generator that the format
      cannot express.
    encode: ``(generator, weights) -> program``, as bytes.
    load: ``program -> functions`` from latents `[B, Z]` to samples `[B, ...]`,
      or from images `[B, H, W, C]` to images `[B, H, W, D]`, one for each way
      in which a user may run the program.
    describe: ``(program, metadata) -> {suffix: bytes}``: the files to write, by
      what follows the path in their names.
  """

  weights: Mapping[str, str | None]
  packages: tuple[str, ...]
  tolerance: float
  check: Callable[[generator_lib.Spec], None]
  encode: Callable[[Any, str], bytes]
  load: Callable[[bytes], Sequence[Run]]
  describe: Callable[[bytes, dict[str, Any]], dict[str, bytes]]


class Export(NamedTuple):
  """Holds a verified program.

  Attributes:
    contents: bytes of each file by the suffix of its name. '' is the program
      itself.
    metadata: the description of the program, see `metadata.make`.
  """

  contents: dict[str, bytes]
  metadata: dict[str, Any]


def write(
  path: str | os.PathLike[str],
  generator: Any,
  *,
  format: str = 'onnx',
  weights: str | None = None,
  source_sha256: str | None = None,
) -> Export:
  """Verifies and writes a program; StableHLO adds a description, `PATH.json`.

  Args:
    path: path of the file.
    generator: one generator or translator, without ensemble axes.
    format: one of `FORMATS`.
    weights: how to write weights. 'int2' and 'int4' write ternary leaves in 2
      and 4 bits, 'float32' writes every leaf in 32 bits. 'int8' rounds the
      kernels of a translator to 8 bits, one scale for each output channel. The
      default is 'int2' for a ternary generator, else 'float32'. More runtimes
      read 'int4', and most read 'float32'.
    source_sha256: digest of the payload of the bundle that holds the generator,
      if there is one.

  Returns:
    The program and its description, as written.

  Raises:
    ValueError: unknown or unfit settings, a missing package, a generator that
      the format cannot express, or a program whose samples differ from those of
      JAX. Nothing is written then.
  """
  export = build(
    generator, format=format, weights=weights, source_sha256=source_sha256
  )
  keep(path, export)
  return export


def keep(path: str | os.PathLike[str], export: Export) -> None:
  """Writes all files of a verified program; none is changed by an error."""
  files.write_all(
    {
      f'{os.fspath(path)}{suffix}': data
      for suffix, data in export.contents.items()
    }
  )


def build(
  generator: Any,
  *,
  format: str = 'onnx',
  weights: str | None = None,
  source_sha256: str | None = None,
) -> Export:
  """Builds a verified program in memory; see `write`."""
  spec = generator.spec
  if format not in FORMATS:
    raise ValueError(f'format {format!r} is not one of {sorted(FORMATS)}')
  chosen = FORMATS[format]
  offered = names.offered(format, spec.condition_shape is not None)
  possible = [
    name
    for name, encoding in offered.items()
    if encoding is None or encoding in spec.encodings
  ]
  if weights is None:
    weights = possible[0]
  if weights not in offered:
    made = ' for images of latents' if weights in chosen.weights else ''
    raise ValueError(
      f'weights {weights!r} of {format} are not one of {tuple(offered)}{made}'
    )
  if weights not in possible:
    made = ', or `coalesce ternarize` makes it ternary'
    if spec.network == registry.MIXTURE or spec.condition_shape is not None:
      made = ''
    raise ValueError(
      f'weights {weights!r}: this generator has no {chosen.weights[weights]} '
      f'leaves; it takes one of {possible}{made}'
    )
  require(*chosen.packages)
  chosen.check(spec)
  verification.check_shapes(generator)
  rounding = None
  if weights == 'int8':
    exact, patterns = generator.params, ('.*/kernel',)
    generator = generator._replace(params=int8.rounded(exact, patterns))
    rounding = verification.difference(
      generator,
      exact,
      [functools.partial(jax.jit(generator.network.apply), generator.params)],
    )
  program = chosen.encode(generator, weights)
  metadata = metadata_lib.make(
    spec,
    program,
    format=format,
    weights=weights,
    tolerance=chosen.tolerance,
    max_difference=_verified(generator, format, program),
    source_sha256=source_sha256,
    packages=chosen.packages,
    rounding_difference=rounding,
  )
  contents = chosen.describe(program, metadata)
  if contents[''] != program:
    _verified(generator, format, contents[''])
  return Export(contents, metadata)


def require(*packages: str) -> None:
  """Imports packages of the extra `export`.

  Raises:
    ValueError: a package is not installed.
  """
  for name in packages:
    try:
      importlib.import_module(name)
    except ImportError:
      raise ValueError(
        f"{name} is not installed: pip install 'coalesce_jax[export]'"
      ) from None


def _verified(generator: Any, format: str, program: bytes) -> float:
  """Measures the largest absolute difference from the samples of JAX.

  Raises:
    ValueError: the difference exceeds the tolerance, or samples are unusable.
  """
  chosen = FORMATS[format]
  largest = verification.difference(
    generator, generator.params, chosen.load(program)
  )
  if not largest <= chosen.tolerance:
    raise ValueError(
      f'samples of the {format} program differ from those of JAX by '
      f'{largest:.2g}, more than {chosen.tolerance:g}; nothing was written'
    )
  return largest


def _check_onnx(spec: generator_lib.Spec) -> None:
  from coalesce_jax.export import onnx_graphs

  if spec.condition_shape is None:
    onnx_graphs.check(spec)


def _encode_onnx(generator: Any, weights: str) -> bytes:
  from coalesce_jax.export import onnx_graphs
  from coalesce_jax.export import onnx_translators

  latents = generator.spec.condition_shape is None
  graphs: Any = onnx_graphs if latents else onnx_translators
  program: bytes = graphs.model(generator, weights).SerializeToString(
    deterministic=True
  )
  return program


def _load_onnx(program: bytes) -> Sequence[Run]:
  from coalesce_jax.export import onnx_files

  return [onnx_files.load(program, expand=expand) for expand in (False, True)]


def _describe_onnx(
  program: bytes, metadata: dict[str, Any]
) -> dict[str, bytes]:
  from coalesce_jax.export import onnx_files

  return {'': onnx_files.describe(program, metadata)}


def _describe_stablehlo(
  program: bytes, metadata: dict[str, Any]
) -> dict[str, bytes]:
  return {
    '': program,
    '.json': (json.dumps(metadata, indent=2) + '\n').encode(),
  }


FORMATS = {
  'onnx': Format(
    weights=names.WEIGHTS['onnx'],
    packages=('onnx', 'onnxruntime'),
    tolerance=1e-4,
    check=_check_onnx,
    encode=_encode_onnx,
    load=_load_onnx,
    describe=_describe_onnx,
  ),
  'stablehlo': Format(
    weights=stablehlo.WEIGHTS,
    packages=('flatbuffers',),
    tolerance=1e-5,
    check=lambda spec: None,
    encode=stablehlo.encode,
    load=lambda program: [stablehlo.load(program)],
    describe=_describe_stablehlo,
  ),
}
