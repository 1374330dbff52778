"""Small networks and nodes of federated learning, which compile fast."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import meta
from coalesce_jax.federated import settings
from coalesce_jax.training import loop

SHAPE = tasks.Shape(2, 2, 2)
SPEC = classifier.Spec('resnet', (4, 4, 1), 2, 4, per_group=2, blocks=1)
DENSE = classifier.Spec(
  'resnet', (4, 4, 1), 2, 4, gates='none', per_group=2, blocks=1
)


def config(**changes):
  """Settings of few rounds of few nodes."""
  given = {'nodes': 3, 'schedule': loop.Schedule(4, 2, save_seconds=0.0)}
  return settings.Config(**given | changes)


@functools.cache
def nodes(count=5):
  """Nodes with two classes of bright and dark halves, and their numbers."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (12 * count, 4, 4, 1), np.uint8)
  labels = np.arange(len(images)) // 6 % 2
  owned = []
  for i in range(count):
    rows = np.arange(12 * i, 12 * i + 12 - 2 * (i % 2))
    owned.append({k: rows[labels[rows] == k] for k in (0, 1)})
  return tasks.nodes(images, owned, SHAPE)


@functools.cache
def params(spec, seed=0):
  """Meta-parameters of which none is zero, drawn without compiling."""
  shapes = jax.eval_shape(lambda: meta.start(spec, config(), jax.random.key(0)))
  rng = np.random.default_rng(seed)

  def draw(name, leaf):
    if name.startswith(meta.RATES):
      return jnp.float32(rng.uniform(-2.0, -1.0))
    wide = 1.0 / np.sqrt(max(1, np.prod(leaf.shape[:-1])))
    value = rng.normal(0.0, wide if len(leaf.shape) > 1 else 0.2, leaf.shape)
    # Biases of gates, near where they open.
    shift = -1.5 if name.startswith('gates') and 'out/bias' in name else 0.0
    return jnp.float32(value + shift + name.endswith('scale'))

  return trees.map_named(draw, shapes)


def task(seed=0):
  """A task of the first node."""
  return tasks.draw(nodes(), jnp.int32(0), jax.random.key(seed), SHAPE)
