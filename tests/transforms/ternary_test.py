"""Ternarization of a tree: groups, replicas, training, descriptions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.transforms import ternary
from tests.transforms import layers

SETTINGS = [(s, g) for s in ternary.SCHEMES for g in ternary.GRANULARITIES]
ONE = ('truncated_gaussian', 'channel')


@pytest.mark.parametrize('scheme,granularity', SETTINGS)
def test_values_are_exactly_ternary_in_each_group(scheme, granularity):
  reparam, latent = layers.made(scheme, granularity)
  out = jax.jit(reparam.apply)(latent, ())['layer']
  np.testing.assert_array_equal(out['bias'], jnp.ones(5))
  groups = 1 if granularity == 'layer' else 5
  for group in np.asarray(out['kernel']).reshape(-1, groups).T:
    values = np.unique(group)
    assert len(values) == 3 and values[1] == 0.0
    if scheme != 'ttq':
      assert values[0] == -values[2]


@pytest.mark.parametrize(
  'scheme,granularity',
  [pytest.param(*s, marks=pytest.mark.slow) for s in SETTINGS if s != ONE]
  + [ONE],
)
def test_vmapped_members_equal_single_ones(scheme, granularity):
  reparam, one = layers.made(scheme, granularity)
  _, two = layers.made(scheme, granularity, jax.tree.map(lambda x: -3.0 * x, layers.weights()))  # noqa: E501  # fmt: skip
  many = jax.tree.map(lambda *x: jnp.stack(x), one, two)
  out = jax.jit(jax.vmap(reparam.apply))(many, ())['layer']['kernel']
  for got, latent in zip(out, (one, two), strict=True):
    np.testing.assert_allclose(
      got, jax.jit(reparam.apply)(latent, ())['layer']['kernel'], rtol=1e-5
    )


def test_training_thresholds_and_weights_beats_ternarizing_afterwards():
  # Correlated inputs: other weights than the nearest ternary ones do better.
  keys = jax.random.split(layers.KEY, 3)
  x = jax.random.normal(keys[0], (200, 8)) @ jax.random.normal(keys[1], (8, 64))
  x = x / 8.0
  target = x @ jax.random.normal(keys[2], (64, 4))
  exact = jnp.linalg.lstsq(x, target)[0]
  reparam, latent = layers.made(
    'truncated_gaussian', 'channel', {'kernel': exact}, leaves=('kernel',)
  )

  def loss(latent):
    return jnp.mean((x @ reparam.apply(latent, ())['kernel'] - target) ** 2)

  before = float(loss(latent))
  optimizer = optax.adam(optax.linear_schedule(0.02, 0.0, 400))

  def step(carry, _):
    latent, state = carry
    updates, state = optimizer.update(jax.grad(loss)(latent), state)
    return (optax.apply_updates(latent, updates), state), None

  (latent, _), _ = jax.lax.scan(
    step, (latent, optimizer.init(latent)), None, 400
  )
  assert float(loss(latent)) < 0.6 * before


def test_description_names_the_leaves():
  found = ternary.describe(
    layers.weights(), scheme='twn', granularity='layer', leaves=('.*/kernel',)
  )
  assert found['leaves'] == ['layer/kernel']
  reparam, latent = layers.made('twn', 'layer')
  sparsity = ternary.summary(reparam.apply(latent, ()), ('.*/kernel',))
  assert 0.2 < sparsity['sparsity/layer/kernel'] < 0.7


def test_bad_settings_are_refused():
  for settings in (
    {'scheme': 'binary'}, {'granularity': 'row'}, {'threshold_init': 'mean'}
  ):  # fmt: skip
    with pytest.raises(ValueError, match='not one of'):
      ternary.ternary(**settings)
  with pytest.raises(ValueError, match='matches none'):
    layers.made('twn', 'layer', leaves=('nothing',))
