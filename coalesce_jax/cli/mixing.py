"""The subcommand that keeps all nodes: mixture."""

import dataclasses
from typing import Any

from absl import flags

from coalesce_jax.cli import common
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.methods import mixture as mixture_lib
from coalesce_jax.models import bundle


def define_mixture(values: Values) -> None:
  """Flags of `mixture`."""
  flags.DEFINE_list('nodes', None, 'Bundles.', flag_values=values)
  flags.DEFINE_list(
    'weights', None, 'One a bundle, sum 1; default equal.', flag_values=values
  )
  flags.DEFINE_integer(
    'refine_steps', 0, 'Steps that latents are moved by the critic of their '
    'bundle, for each sample; 0 leaves them.', lower_bound=0,
    flag_values=values,
  )  # fmt: skip
  common.string(values, 'out', None, 'Bundle to write.')
  common.required(values, 'nodes', 'out')


def mixture(values: Values, stop: Stop) -> dict[str, Any]:
  """Writes all bundles as one generator that draws among them."""
  del stop
  members = common.load_nodes(values.nodes)
  made = mixture_lib.mixture(
    members,
    common.numbers('weights', values.weights),
    common.refine(values, members),
  )
  provenance = {'stage': 'mixture', 'dataset': common.dataset(members)}
  spec = dataclasses.replace(made.spec, provenance=provenance)
  made = made._replace(spec=spec)
  bundle.save(common.checked_out(values.out), made)
  return {'bundle': values.out, 'bytes': bundle.size_bytes(made)}
