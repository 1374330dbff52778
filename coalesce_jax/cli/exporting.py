"""Makes programs for devices: export."""

from typing import Any

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.core import replacing
from coalesce_jax.export import export as export_lib
from coalesce_jax.export import names
from coalesce_jax.models import bundle
from coalesce_jax.runs import progress


def export(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes a bundle's generator as a program, after comparing it with JAX."""
  del stop
  outputs.file('out', values.out, names.ENDINGS[values.format])
  if values.format == 'stablehlo':
    replacing.check_file(f'{values.out}.json', replacing.DESCRIPTION)
  generator = common.load('node', values.node, translators=True)
  with progress.working(f'exporting {values.node}'):
    program = export_lib.build(
      generator,
      format=values.format,
      weights=values.weights,
      source_sha256=bundle.inspect(values.node)['payload_sha256'],
    )
  export_lib.keep(values.out, program)
  return {
    'out': values.out,
    'format': values.format,
    'weights': program.metadata['weights'],
    'opset': program.metadata['opset'],
    'bytes': len(program.contents['']),
    'max_difference': program.metadata['max_difference'],
    'tolerance': program.metadata['tolerance'],
  }
