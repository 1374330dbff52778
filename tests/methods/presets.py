"""Settings and generators that tests of several methods share."""

import jax
import jax.numpy as jnp

from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from tests import small

QUICK = small.config(batch_size=32, learning_rate=0.02, ema=0.5)


def adapting(**settings):
  game = settings.pop('game', small.config(objective='w1_squared'))
  return adaptation.Config(
    game=game, schedule=small.schedule(4, 2), warmup=1, **settings
  )


def meeting(**settings):
  return barycenter.Config(
    game=small.config(), schedule=small.schedule(4, 2), warmup=1, **settings
  )


def image_nodes(count=2):
  return [small.generator(k, small.IMAGES) for k in range(count)]


def at_points(*points):
  """Nodes that make one point each."""
  made = []
  for k, point in enumerate(points):
    node = small.generator(k)
    flat = jax.tree.map(jnp.zeros_like, trees.flatten(node.params))
    last = [name for name in flat if name.endswith('bias')][-1]
    flat[last] = jnp.full_like(flat[last], point)
    made.append(node._replace(params=trees.unflatten(flat)))
  return made
