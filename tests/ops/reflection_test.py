"""Padding by reflection against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.ops import reflection

# Size, pads: none; once; on one side; several times.
CASES = [
  ((3, 4), ((0, 0), (0, 0))),
  ((5, 4), ((1, 2), (3, 1))),
  ((4, 3), ((0, 3), (2, 0))),
  ((2, 3), ((5, 0), (4, 7))),
]


def maps(size):
  rng = np.random.default_rng(0)
  return rng.normal(size=(2, *size, 3)).astype(np.float32)


def numpys(x, pads):
  return np.pad(x, ((0, 0), *pads, (0, 0)), 'reflect')


@pytest.mark.parametrize('size,pads', CASES)
def test_values_are_those_of_numpy(size, pads):
  x = maps(size)
  np.testing.assert_array_equal(
    reflection.pad(jnp.asarray(x), pads), numpys(x, pads)
  )


@pytest.mark.parametrize('size,pads', CASES)
def test_gradients_count_every_copy(size, pads):
  x = maps(size)
  # The padded positions by the pixels that they copy.
  names = np.arange(np.prod(size)).reshape(1, *size, 1)
  names = numpys(names, pads).ravel()
  weights = np.random.default_rng(1).normal(size=numpys(x, pads).shape)

  def score(x):
    return jnp.vdot(reflection.pad(x, pads), jnp.float32(weights))

  expected = [
    [np.bincount(names, image[..., b].ravel()) for b in range(3)]
    for image in weights
  ]
  expected = np.moveaxis(np.reshape(expected, (2, 3, *size)), 1, -1)
  np.testing.assert_allclose(
    jax.jit(jax.grad(score))(x), expected, rtol=1e-4, atol=1e-5
  )
  # Second order, by the same map from jax.numpy.

  def of(pad):
    inner = jax.grad(lambda x: jnp.sum(pad(x) ** 3))
    return jax.grad(lambda x: jnp.sum(jnp.tanh(inner(x))))

  found, reference = jax.jit(
    lambda x: (
      of(lambda x: reflection.pad(x, pads))(x),
      of(lambda x: jnp.pad(x, ((0, 0), *pads, (0, 0)), 'reflect'))(x),
    )
  )(x)
  np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-5)


def test_vmap_equals_a_loop():
  x = np.stack([maps((3, 4)), -2.0 * maps((3, 4))])
  pads = ((4, 0), (1, 2))
  found = jax.vmap(lambda x: reflection.pad(x, pads))(x)
  np.testing.assert_array_equal(found, [numpys(a, pads) for a in x])


def test_one_pixel_has_nothing_to_reflect():
  x = jnp.ones((1, 1, 3, 1))
  assert reflection.pad(x, ((0, 0), (1, 1))).shape == (1, 1, 5, 1)
  with pytest.raises(ValueError, match='maps of 1 x 3 pixels'):
    reflection.pad(x, ((1, 0), (0, 0)))
