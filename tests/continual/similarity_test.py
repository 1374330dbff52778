"""The earlier task that is most like a new one."""

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.continual import similarity
from coalesce_jax.core import types
from tests.continual import streams


def test_an_embedding_is_the_mean_of_squared_derivatives():
  task = streams.pairs(1)[0]
  # w times the image plus b times its square, pixel by pixel.
  network = types.Network(
    lambda key: {'b': jnp.zeros(()), 'w': jnp.zeros(())},
    lambda params, x: params['w'] * x + params['b'] * x**2,
  )
  params = {'b': jnp.float32(0.1), 'w': jnp.float32(0.3)}
  found = similarity.embedding(task._replace(network=network), params, 3)
  x, y = (np.asarray(a[:3], np.float64) for a in task.problem.args[0][:2])
  sign = np.sign(0.3 * x + 0.1 * x**2 - y)
  wanted = np.array(
    [np.mean((sign * x**k).mean((1, 2, 3)) ** 2) for k in (2, 1)]
  )
  np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-5)


def test_the_nearest_task_is_the_one_of_equal_data():
  one, other, again = (
    np.array(x) for x in ([1.0, 0.0], [0.0, 1.0], [0.9, 0.1])
  )
  assert similarity.distance(one, one) == 0.0
  assert similarity.distance(one, other) == 1.0
  # Hellinger: 1 minus the inner product of the roots.
  np.testing.assert_allclose(
    similarity.distance(one, again) ** 2, 1.0 - np.sqrt(0.9), rtol=1e-12
  )
  assert similarity.nearest(again, [other, one]) == 1


def test_what_cannot_be_compared_is_refused():
  with pytest.raises(ValueError, match='needs pairs'):
    similarity.embedding(streams.points(1)[0], {})
  with pytest.raises(ValueError, match='no earlier task'):
    similarity.nearest(np.ones(2), [])
  with pytest.raises(ValueError, match='of two networks'):
    similarity.nearest(np.ones(2), [np.ones(3)])
