"""Writes samples of a barycenter: barycenter --method=particles."""

from typing import Any

from absl import logging
import jax

from coalesce_jax.cli import common
from coalesce_jax.cli import inspection
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Values
from coalesce_jax.cli.definitions import training as flags
from coalesce_jax.methods import particles
from coalesce_jax.models import checks

ENDINGS = ('.png', '.npz')


def refuse(values: Values) -> None:
  """Refuses flags that the chosen method does not read.

  Raises:
    ValueError: such a flag is given; one line.
  """
  here = values.method == 'particles'
  unread = flags.NOT_OF_PARTICLES if here else flags.OF_PARTICLES
  for name in unread:
    if values[name].present:
      raise ValueError(
        f'--{name}: the method {values.method!r} does not read it; leave it out'
      )


def sample(values: Values) -> dict[str, Any]:
  """Samples the barycenter of bundles."""
  outputs.file('out', values.out, ENDINGS)
  nodes = common.load_nodes(values.nodes)
  checks.images_only(
    tuple(nodes[0].spec.image_shape), values.nodes[0],
    'in Python, methods.particles.sample takes generators of points',
  )  # fmt: skip
  if values.weights is not None:
    checks.check_weights(values.weights, len(nodes))
  found = particles.sample(
    jax.random.key(values.seed), nodes, values.weights, count=values.n,
    alpha=values.alpha, bandwidth=values.bandwidth, steps=values.steps,
  )  # fmt: skip
  if not found.converged:
    logging.warning(
      'the particles still move at %.3g of their first speed: more --steps, or '
      'a smaller --alpha', found.speed,
    )  # fmt: skip
  shape = found.samples.shape[1:]
  made = inspection.drawn(values, values.out, lambda: (
    shape, lambda: found.samples
  ))  # fmt: skip
  return {
    **made,
    'bandwidth': found.bandwidth,
    'spread': found.spread,
    'speed': found.speed,
    'converged': found.converged,
  }
