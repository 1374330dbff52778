"""Exports of generators as programs that run without this package.

Every program is verified before it is written. The runtime of its format runs
the program at random latents, in batches of `BATCHES` samples. The largest
absolute difference from the samples of JAX must be within the tolerance of the
format. Pixels lie in [-1, 1].

Shapes: B batch, Z latent.
"""

from collections.abc import Callable, Mapping, Sequence
import importlib
import json
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from coalesce_jax.core import files
from coalesce_jax.core import trees
from coalesce_jax.export import metadata as metadata_lib
from coalesce_jax.export import names
from coalesce_jax.export import stablehlo
from coalesce_jax.models import checks
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.networks import registry

BATCHES = (1, 17)

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
      one for each way in which a user may run the program.
    describe: ``(program, metadata) -> {suffix: bytes}``: the files to write, by
      what follows the path in their names.
  """

  weights: Mapping[str, str | None]
  packages: tuple[str, ...]
  tolerance: float
  check: Callable[[generator_lib.Spec], None]
  encode: Callable[[generator_lib.Generator, str], bytes]
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
  generator: generator_lib.Generator,
  *,
  format: str = 'onnx',
  weights: str | None = None,
  source_sha256: str | None = None,
) -> Export:
  """Verifies and writes a program; StableHLO adds a description, `PATH.json`.

  Args:
    path: path of the file.
    generator: one generator, without ensemble axes.
    format: one of `FORMATS`.
    weights: how to write weights. 'int2' and 'int4' write ternary leaves in 2
      and 4 bits, 'float32' writes every leaf in 32 bits. The default is 'int2'
      for a ternary generator, else 'float32'. More runtimes read 'int4', and
      most read 'float32'.
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
  generator: generator_lib.Generator,
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
  possible = [
    name
    for name, encoding in chosen.weights.items()
    if encoding is None or encoding in spec.encodings
  ]
  if weights is None:
    weights = possible[0]
  if weights not in chosen.weights:
    raise ValueError(
      f'weights {weights!r} of {format} are not one of {tuple(chosen.weights)}'
    )
  if weights not in possible:
    made = '' if spec.network == registry.MIXTURE else (
      ', or `coalesce ternarize` makes it ternary'
    )  # fmt: skip
    raise ValueError(
      f'weights {weights!r}: this generator has no {chosen.weights[weights]} '
      f'leaves; it takes one of {possible}{made}'
    )
  require(*chosen.packages)
  chosen.check(spec)
  _check_shapes(generator)
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


def _check_shapes(generator: generator_lib.Generator) -> None:
  wanted = jax.eval_shape(generator.network.init, jax.random.key(0))
  shapes, found = (
    {name: leaf.shape for name, leaf in trees.flatten(tree).items()}
    for tree in (wanted, generator.params)
  )
  if found != shapes:
    name = min(n for n in {*shapes, *found} if shapes.get(n) != found.get(n))
    raise ValueError(
      f'leaf {name!r} is {found.get(name, "missing")}, its network has '
      f'{shapes.get(name, "none")}'
    )


def _verified(
  generator: generator_lib.Generator, format: str, program: bytes
) -> float:
  """Measures the largest absolute difference from the samples of JAX.

  Raises:
    ValueError: the difference exceeds the tolerance, or samples are unusable.
  """
  rng = np.random.default_rng(0)
  apply, runs = jax.jit(generator.network.apply), FORMATS[format].load(program)
  differences = []
  for batch in BATCHES:
    z = rng.standard_normal((batch, generator.spec.latent_size), np.float32)
    samples = checks.usable_samples(apply(generator.params, z), 'generator')
    for run in runs:
      found = np.asarray(run(z))
      if found.shape != samples.shape:
        raise ValueError(
          f'the {format} program gives {found.shape}, JAX {samples.shape}'
        )
      differences.append(np.max(np.abs(found - samples)))
  # Unlike Python's, NumPy's maximum keeps a NaN.
  largest, tolerance = float(np.max(differences)), FORMATS[format].tolerance
  if not largest <= tolerance:
    raise ValueError(
      f'samples of the {format} program differ from those of JAX by '
      f'{largest:.2g}, more than {tolerance:g}; nothing was written'
    )
  return largest


def _check_onnx(spec: generator_lib.Spec) -> None:
  from coalesce_jax.export import onnx_graphs

  onnx_graphs.check(spec)


def _encode_onnx(generator: generator_lib.Generator, weights: str) -> bytes:
  from coalesce_jax.export import onnx_graphs

  return onnx_graphs.model(generator, weights).SerializeToString(
    deterministic=True
  )


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
