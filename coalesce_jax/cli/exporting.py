"""Defines the subcommand that makes programs for devices: export."""

from typing import Any

from absl import flags

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.export import export as export_lib
from coalesce_jax.models import bundle
from coalesce_jax.models import checks


def define_export(values: Values) -> None:
  """Defines the flags of `export`."""
  common.string(values, 'node', None, 'Bundle.')
  flags.DEFINE_enum(
    'format', 'onnx', sorted(export_lib.FORMATS), 'Kind of program.',
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_enum(
    'weights', None, list(export_lib.FORMATS['onnx'].weights),
    'Type of ternary leaves; int4 is for older runtimes of ONNX. Default: int2 '
    'for a ternary bundle, float32 for another.',
    flag_values=values,
  )  # fmt: skip
  common.string(
    values, 'out', None, 'File to write; StableHLO also writes OUT.json.'
  )
  common.required(values, 'node', 'out')


def export(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes a bundle's generator as a program, after comparing it with JAX."""
  del stop
  generator = checks.usable(bundle.load(values.node), values.node)
  program = export_lib.build(
    generator,
    format=values.format,
    weights=values.weights,
    source_sha256=bundle.inspect(values.node)['payload_sha256'],
  )
  # Folders are made only after all checks.
  export_lib.keep(common.checked_out(values.out), program)
  return {
    'out': values.out,
    'format': values.format,
    'weights': program.metadata['weights'],
    'bytes': len(program.contents['']),
    'max_difference': program.metadata['max_difference'],
    'tolerance': program.metadata['tolerance'],
  }
