"""Combines all nodes in one generator: mixture."""

import dataclasses
from typing import Any

from coalesce_jax.cli import common
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.methods import mixture as mixture_lib
from coalesce_jax.models import bundle


def mixture(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes the mixture of all bundles as one generator."""
  del stop
  outputs.file('out', values.out, outputs.BUNDLE)
  outputs.is_no_input('out', values.out, nodes=values.nodes)
  nodes = common.load_nodes(values.nodes)
  refine = common.refine(values, nodes)
  mixture_lib.check(nodes, refine, values.nodes)
  mixed = mixture_lib.mixture(nodes, values.weights, refine)
  provenance = {'stage': 'mixture', 'dataset': common.dataset(nodes)}
  spec = dataclasses.replace(mixed.spec, provenance=provenance)
  mixed = mixed._replace(spec=spec)
  bundle.save(values.out, mixed)
  return {'bundle': values.out, 'bytes': bundle.size_bytes(mixed)}
