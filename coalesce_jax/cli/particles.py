"""Writes samples of a barycenter: barycenter --method=particles."""

import functools
from typing import Any

from absl import logging
import jax

from coalesce_jax.cli import common
from coalesce_jax.cli import inspection
from coalesce_jax.cli import outputs
from coalesce_jax.cli.common import Stop
from coalesce_jax.cli.common import Values
from coalesce_jax.cli.definitions import training as flags
from coalesce_jax.methods import learned_particles
from coalesce_jax.methods import particles
from coalesce_jax.models import checks

ENDINGS = ('.png', '.npz')


def refuse(values: Values) -> None:
  """Refuses flags that the chosen method does not read.

  Raises:
    ValueError: such a flag is given; one line.
  """
  here = values.method == 'particles'
  reader = f'method {values.method!r} does'
  unread = flags.NOT_OF_PARTICLES if here else flags.OF_PARTICLES
  given = [name for name in unread if values[name].present]
  if here and values.scores == 'kernel' and not given:
    reader = "scores 'kernel' do"
    given = [name for name in flags.OF_CRITICS if values[name].present]
  if given:
    raise ValueError(f'--{given[0]}: the {reader} not read it; leave it out')


def sample(values: Values, stop: Stop) -> dict[str, Any]:
  """Samples the barycenter of bundles."""
  outputs.file('out', values.out, ENDINGS)
  nodes = common.load_nodes(values.nodes)
  checks.images_only(
    tuple(nodes[0].spec.image_shape), values.nodes[0],
    'in Python, methods.particles.sample takes generators of points',
  )  # fmt: skip
  if values.weights is not None:
    checks.check_weights(values.weights, len(nodes))
  draw = functools.partial(
    particles.sample, jax.random.key(values.seed), nodes, values.weights,
    count=values.n, alpha=values.alpha, bandwidth=values.bandwidth,
    steps=values.steps, scores=values.scores,
  )  # fmt: skip
  if values.scores == 'critics':
    common.say_new_critics(values.nodes, nodes)
    given: dict[str, Any] = {
      name: values[name].value
      for name in ('batch_size', 'critic_steps', 'learning_rate')
      if values[name].present
    }
    learning = learned_particles.Config(**given)
    with common.work(
      values, values.out, stop, common.digests(values.nodes)
    ) as work:
      found = draw(learning=learning, hooks=work.hooks(None))
  else:
    found = draw()
  if not found.converged:
    logging.warning(
      'the particles do not rest yet: more --steps, or a smaller --alpha'
    )
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
