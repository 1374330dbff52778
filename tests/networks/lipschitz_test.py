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


def numbers(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def disturbed(critic):
  """Parameters far from the start."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(critic.init, KEY)
  return jax.tree.map(
    lambda leaf: (1.4 * rng.normal(size=leaf.shape)).astype(np.float32), shapes
  )


@pytest.mark.parametrize('size', [2, lipschitz.DIRECT_DIMENSIONS + 1, 64])
@pytest.mark.parametrize('name,options', CRITICS)
def test_no_pair_of_points_is_steeper_than_one(name, options, size):
  critic = registry.critic(name, data_shape=(size,), **options)
  params = disturbed(critic)
  x = 3.0 * numbers(2, 200, size)
  for part in (params, params.get('lower', {}), params.get('upper', {})):
    if 'centers' in part:
      x = np.concatenate([x, 2.0 * part['centers']])
  y = x + 0.3 * numbers(3, *x.shape)

  @jax.jit
  def values(x):
    slope = jax.grad(lambda v: critic.apply(params, v).sum())(x)
    return critic.apply(params, x), slope

  (one, slope), (other, _) = values(x), values(y)
  gap = np.linalg.norm(x - y, axis=1)
  assert np.all(np.abs(one - other) <= gap * 1.0001 + 1e-4)
  assert np.linalg.norm(slope, axis=1).max() < 1.001


def test_cold_cones_are_the_lower_envelope():
  critic = registry.critic(
    'cones', data_shape=(2,), count=5, scale=3.0, temperature=1e-3
  )
  params, x = disturbed(critic), numbers(0, 20, 2)
  gap = np.linalg.norm(x[:, None] - 3.0 * params['centers'], axis=-1)
  expected = np.min(gap + 0.3 * params['heights'], 1)
  found = jax.jit(critic.apply)(params, x)
  np.testing.assert_allclose(found, expected, atol=2e-3)


def test_warm_cones_are_their_soft_minimum():
  critic = registry.critic('cones', data_shape=(2,), count=5, temperature=2.0)
  params, x = disturbed(critic), numbers(0, 20, 2)
  gap = np.linalg.norm(x[:, None] - params['centers'], axis=-1)
  warm = 2.0 * np.exp(0.25 * params['temperature'])
  cones = np.exp(-(gap + 0.1 * params['heights']) / warm).sum(1)
  found = jax.jit(critic.apply)(params, x)
  np.testing.assert_allclose(found, -warm * np.log(cones), rtol=1e-4)


def test_envelopes_are_a_mean_of_a_slope_and_of_cones_up_and_down():
  critic = registry.critic('envelopes', data_shape=(3,), count=4)
  params, x = disturbed(critic), numbers(4, 20, 3)
  cones = registry.critic('cones', data_shape=(3,), count=4)
  apply = jax.jit(lambda p: critic.apply(p, x))
  # Longer than 1, so that it is shortened.
  params['slope'] = np.float32([3.0, 0.0, 4.0])
  params['mixture'] = np.log(np.float32([0.5, 0.3, 0.2]))
  expected = (
    0.5 * (x @ np.float32([0.6, 0.0, 0.8]))
    + 0.3 * cones.apply(params['lower'], x)
    - 0.2 * cones.apply(params['upper'], x)
  )
  np.testing.assert_allclose(apply(params), expected, rtol=1e-5, atol=1e-6)
  params['slope'] = np.float32([0.1, 0.2, 0.0])
  params['mixture'] = np.float32([30.0, 0.0, 0.0])
  np.testing.assert_allclose(apply(params), x @ params['slope'], atol=1e-5)


def test_group_sort_orders_pairs_between_orthonormal_layers():
  critic = registry.critic('groupsort', data_shape=(3,), hidden=(4,))
  params, x = disturbed(critic), numbers(4, 20, 3)
  kernels = [
    np.asarray(lipschitz.orthonormal(params[f'kernel_{i}'])) for i in range(2)
  ]
  y = x @ kernels[0] + params['bias_0']
  low, high = np.sort([y[:, :2], y[:, 2:]], axis=0)
  y = np.concatenate([low, high], 1) @ kernels[1] + params['bias_1']
  found = jax.jit(critic.apply)(params, x)
  np.testing.assert_allclose(found, y[:, 0], rtol=1e-4, atol=1e-5)


def test_envelopes_fall_away_from_a_point_on_all_sides():
  # The potential of a law and its copy pushed outwards; the lower envelope of
  # as few cones has no such maximum.
  x = jnp.asarray(numbers(5, 256, 6))
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

    def train(key, critic=critic, step=step):
      params = critic.init(key)
      carry = params, adam.init(params)
      return jax.lax.scan(step, carry, None, 400)[1]['gap']

    gaps[name] = float(jax.jit(train)(KEY)[-1])
  distance = 2.0 * float(jnp.mean(jnp.linalg.norm(x, axis=1)))
  assert gaps['cones'] < 0.8 * distance < 0.9 * distance < gaps['envelopes']


def test_products_and_differences_give_one_distance():
  for size in (0, 1):
    size += lipschitz.DIRECT_DIMENSIONS
    x, a = 2.0 * numbers(0, 2, 30, size)
    gap = np.linalg.norm(x[:, None] - a[None], axis=-1)
    found = jax.jit(lipschitz.distances)(x, a)
    np.testing.assert_allclose(found, gap, rtol=1e-5)


@pytest.mark.parametrize('shape', [(12, 5), (5, 12), (7, 7), (6, 1)])
def test_orthonormal_kernels_have_singular_values_of_one(shape):
  kernel = numbers(0, *shape)
  made = jax.jit(lambda w: [lipschitz.orthonormal(w, n) for n in (1, 30)])
  early, late = (np.linalg.svd(w, compute_uv=False) for w in made(kernel))
  np.testing.assert_allclose(late, 1.0, atol=1e-4)
  assert early.max() <= 1.0 + 1e-6


@pytest.mark.parametrize(
  'name,options', [CRITICS[0], ('groupsort', {'hidden': (8,)})]
)
def test_without_a_penalty_the_gap_rises_to_the_distance(name, options):
  critic = registry.critic(name, data_shape=(2,), **options)
  real = np.random.default_rng(4).uniform(size=(256, 2)).astype(np.float32)
  fake = real - np.float32([[1.5, 2.0]])  # W1 is 2.5
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

  @jax.jit
  def train(key):
    params = critic.init(key)
    return jax.lax.scan(step, (params, adam.init(params)), None, 300)[1]

  aux = train(KEY)
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
