"""Defines the subcommand that combines all nodes in one generator: mixture."""

import dataclasses
from typing import Any

from absl import flags

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.methods import mixture as mixture_lib
from coalesce_jax.models import bundle


def define_mixture(values: Values) -> None:
  """Defines the flags of `mixture`."""
  flags.DEFINE_list('nodes', None, 'Bundles.', flag_values=values)
  flags.DEFINE_list(
    'weights',
    None,
    'Weights of the bundles, sum 1; default equal.',
    flag_values=values,
  )
  flags.DEFINE_integer(
    'refine_steps', 0, 'Steps of discriminator optimal transport (DOT), which '
    'moves the latents of each sample by the critic of its bundle.',
    lower_bound=0, flag_values=values,
  )  # fmt: skip
  common.string(values, 'out', None, 'Bundle to write.')
  common.required(values, 'nodes', 'out')


def mixture(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes the mixture of all bundles as one generator."""
  del stop
  nodes = common.load_nodes(values.nodes)
  mixed = mixture_lib.mixture(
    nodes,
    common.numbers('weights', values.weights),
    common.refine(values, nodes),
  )
  provenance = {'stage': 'mixture', 'dataset': common.dataset(nodes)}
  spec = dataclasses.replace(mixed.spec, provenance=provenance)
  mixed = mixed._replace(spec=spec)
  bundle.save(common.checked_out(values.out), mixed)
  return {'bundle': values.out, 'bytes': bundle.size_bytes(mixed)}
