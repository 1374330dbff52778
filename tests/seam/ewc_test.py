"""A proof of the seam: elastic weight consolidation as a term with its data.

Kirkpatrick et al., https://arxiv.org/abs/1612.00796, Eq. 3.
"""

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.gan import terms
from coalesce_jax.methods import fine_tuning
from tests import small


def consolidation(params, batch, data):
  del batch
  cost = jax.tree.map(
    lambda f, old, new: jnp.sum(f * (new - old) ** 2),
    data['fisher'], data['anchor'], params,
  )  # fmt: skip
  return data['weight'] / 2.0 * sum(jax.tree.leaves(cost))


def test_leaves_that_mattered_stay_and_the_others_learn():
  start = small.generator()
  local = 3.0 + jax.random.normal(jax.random.key(1), (20, 2))
  before = trees.flatten(start.params)
  # Only the last layer mattered to the old task.
  fisher = trees.map_named(
    lambda name, leaf: jnp.full_like(leaf, float(name.startswith('out/'))),
    start.params,
  )
  moved = {}
  for weight in (0.0, 1e4):
    made, history = fine_tuning.fit(
      jax.random.key(0), start, local,
      config=fine_tuning.Config(
        game=small.config(learning_rate=0.01), anchor=0.0, warmup=0,
        schedule=small.schedule(30, 30),
      ),
      terms=(terms.Term(consolidation, 'ewc'),),
      term_data=lambda params, weight=weight: {
        'ewc': {'fisher': fisher, 'anchor': params, 'weight': weight}
      },
    )  # fmt: skip
    assert (history['term/ewc'] > 0.0).all() == (weight > 0.0)
    moved[weight] = {
      name: float(np.max(np.abs(leaf - before[name])))
      for name, leaf in trees.flatten(made.params).items()
    }
  for name, far in moved[1e4].items():
    assert (far < 0.3 * moved[0.0][name]) == name.startswith('out/')
