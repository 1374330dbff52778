"""Critics whose slope cannot exceed 1."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.gan.adversarial import wgan
from coalesce_jax.networks import lipschitz
from coalesce_jax.networks import registry

KEY = jax.random.key(0)
CRITICS = [
  ('cones', {'count': 16, 'scale': 2.0}),
  ('cones', {'count': 16, 'scale': 2.0, 'temperature': 0.01}),
  ('envelopes', {'count': 8, 'scale': 2.0, 'temperature': 0.01}),
  ('groupsort', {'hidden': (16, 8)}),
]


def disturbed(critic):
  """Parameters far from the start."""
  params = critic.init(KEY)
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(1), len(leaves))
  return jax.tree.unflatten(
    tree,
    [
      leaf + jax.random.normal(k, leaf.shape)
      for leaf, k in zip(leaves, keys, strict=True)
    ],
  )


@pytest.mark.parametrize('size', [1, 2, 8, 9, 64])
@pytest.mark.parametrize('name,options', CRITICS)
def test_no_pair_of_points_is_steeper_than_one(name, options, size):
  critic = registry.critic(name, data_shape=(size,), **options)
  params = disturbed(critic)
  x = 3.0 * jax.random.normal(jax.random.key(2), (200, size))
  for part in (params, params.get('lower', {}), params.get('upper', {})):
    if 'centers' in part:
      x = jnp.concatenate([x, 2.0 * part['centers']])
  y = x + 0.3 * jax.random.normal(jax.random.key(3), x.shape)
  rise = jnp.abs(critic.apply(params, x) - critic.apply(params, y))
  assert bool(jnp.all(rise <= jnp.linalg.norm(x - y, axis=1) * 1.0001 + 1e-4))
  slope = jax.grad(lambda v: critic.apply(params, v).sum())(x)
  assert float(jnp.max(jnp.linalg.norm(slope, axis=1))) < 1.001


def test_cold_cones_are_the_lower_envelope():
  critic = lipschitz.Cones(count=5, temperature=1e-3)
  x = jax.random.normal(KEY, (20, 2))
  params = critic.init(KEY, x)['params']
  params['heights'] = jnp.arange(5.0)
  gap = jnp.linalg.norm(x[:, None] - params['centers'][None], axis=-1)
  expected = jnp.min(gap + 0.1 * jnp.arange(5.0)[None], 1)
  found = critic.apply({'params': params}, x)
  np.testing.assert_allclose(found, expected, atol=2e-3)


def test_envelopes_are_a_mean_of_a_slope_and_of_cones_up_and_down():
  critic = registry.critic('envelopes', data_shape=(3,), count=4)
  params = disturbed(critic)
  x = jax.random.normal(jax.random.key(4), (20, 3))
  cones = registry.critic('cones', data_shape=(3,), count=4)
  # Longer than 1, so that it is shortened.
  params['slope'] = jnp.array([3.0, 0.0, 4.0])
  params['mixture'] = jnp.log(jnp.array([0.5, 0.3, 0.2]))
  expected = (
    0.5 * (x @ jnp.array([0.6, 0.0, 0.8]))
    + 0.3 * cones.apply(params['lower'], x)
    - 0.2 * cones.apply(params['upper'], x)
  )
  found = critic.apply(params, x)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  params['slope'] = jnp.array([0.1, 0.2, 0.0])
  params['mixture'] = jnp.array([30.0, 0.0, 0.0])
  np.testing.assert_allclose(
    critic.apply(params, x), x @ params['slope'], atol=1e-5
  )


def test_envelopes_fall_away_from_a_point_on_all_sides():
  # The potential of a law and its copy pushed outwards; the lower envelope of
  # as few cones has no such maximum.
  x = jax.random.normal(jax.random.key(5), (256, 6))
  adam = optax.adam(3e-2)
  gaps = {}
  for name, count in [('cones', 8), ('envelopes', 4)]:
    critic = registry.critic(name, data_shape=(6,), count=count)

    def loss(params, critic=critic):
      return wgan.critic_loss(
        lambda v: critic.apply(params, v), x, 3.0 * x, KEY, penalty='none'
      )

    def step(carry, _, loss=loss):
      gradient, aux = jax.grad(loss, has_aux=True)(carry[0])
      updates, state = adam.update(gradient, carry[1])
      return (optax.apply_updates(carry[0], updates), state), aux

    params = critic.init(KEY)
    train = jax.jit(lambda c, step=step: jax.lax.scan(step, c, None, 400))
    _, aux = train((params, adam.init(params)))
    gaps[name] = float(aux['gap'][-1])
  distance = 2.0 * float(jnp.mean(jnp.linalg.norm(x, axis=1)))
  assert gaps['cones'] < 0.8 * distance < 0.9 * distance < gaps['envelopes']


def test_products_and_differences_give_one_distance():
  x, a = 2.0 * jax.random.normal(KEY, (2, 30, lipschitz.DIRECT_DIMENSIONS + 1))
  gap = np.linalg.norm(x[:, None] - a[None], axis=-1)
  np.testing.assert_allclose(lipschitz.distances(x, a), gap, rtol=1e-5)


@pytest.mark.parametrize('shape', [(12, 5), (5, 12), (7, 7), (6, 1)])
def test_orthonormal_kernels_have_singular_values_of_one(shape):
  kernel = jax.random.normal(KEY, shape)
  values = np.linalg.svd(lipschitz.orthonormal(kernel, 30), compute_uv=False)
  np.testing.assert_allclose(values, 1.0, atol=1e-4)
  early = np.linalg.svd(lipschitz.orthonormal(kernel, 1), compute_uv=False)
  assert early.max() <= 1.0 + 1e-6


@pytest.mark.parametrize('name,options', CRITICS[:1] + CRITICS[3:])
def test_without_a_penalty_the_gap_rises_to_the_distance(name, options):
  critic = registry.critic(name, data_shape=(2,), **options)
  real = jax.random.uniform(jax.random.key(4), (256, 2))
  fake = real - jnp.array([[1.5, 2.0]])  # W1 is 2.5
  adam = optax.adam(2e-2)

  def loss(params):
    return wgan.critic_loss(
      lambda x: critic.apply(params, x), real, fake, KEY, penalty='none'
    )

  def step(carry, _):
    params, state = carry
    gradient, aux = jax.grad(loss, has_aux=True)(params)
    updates, state = adam.update(gradient, state)
    return (optax.apply_updates(params, updates), state), aux

  params = critic.init(KEY)
  _, aux = jax.jit(
    lambda c: jax.lax.scan(step, c, None, 300)
  )((params, adam.init(params)))  # fmt: skip
  assert 2.4 < float(aux['gap'][-1]) <= 2.5001
  assert float(aux['gap'][0]) < 2.0
  np.testing.assert_array_equal(aux['penalty'], 0.0)


@pytest.mark.parametrize(
  'name,options,message',
  [
    ('cones', {'count': 0}, 'width 0'),
    ('cones', {'scale': -1.0}, 'scale -1.0'),
    ('cones', {'temperature': 'hot'}, "temperature 'hot'"),
    ('cones', {'scale': float('nan')}, 'scale nan'),
    ('envelopes', {'count': -1}, 'width -1'),
    ('groupsort', {'hidden': (3,)}, 'not all even'),
  ],
)
def test_bad_options_are_refused_by_name(name, options, message):
  with pytest.raises(ValueError, match=message):
    registry.critic(name, data_shape=(2,), **options)
