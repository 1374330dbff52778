"""Ternarization: exact values, gradients, published formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from coalesce_jax.transforms import ternary

KEY = jax.random.key(0)
SETTINGS = [(s, g) for s in ternary.SCHEMES for g in ternary.GRANULARITIES]


def weights(shape=(4, 4, 8, 5), scale=0.1):
  return {
    'layer': {'kernel': scale * jax.random.normal(KEY, shape), 'bias': jnp.ones(5)}  # noqa: E501
  }  # fmt: skip


def made(scheme, granularity, params=None, **settings):
  reparam = ternary.ternary(scheme=scheme, granularity=granularity, **settings)
  params = weights() if params is None else params
  latent, frozen = reparam.init(KEY, params)
  assert not jax.tree.leaves(frozen)
  return reparam, latent


@pytest.mark.parametrize('scheme,granularity', SETTINGS)
def test_values_are_exactly_ternary_in_each_group(scheme, granularity):
  reparam, latent = made(scheme, granularity)
  out = jax.jit(reparam.apply)(latent, ())['layer']
  np.testing.assert_array_equal(out['bias'], jnp.ones(5))
  groups = 1 if granularity == 'layer' else 5
  for group in np.asarray(out['kernel']).reshape(-1, groups).T:
    values = np.unique(group)
    assert len(values) == 3 and values[1] == 0.0
    if scheme != 'ttq':
      assert values[0] == -values[2]


def test_gaussian_scale_is_the_mean_of_a_truncated_normal():
  reparam, latent = made('truncated_gaussian', 'layer')
  out = np.asarray(reparam.apply(latent, ())['layer']['kernel'])
  w = np.asarray(latent['weights']['layer']['kernel'])
  delta = float(latent['thresholds']['layer.kernel'])
  assert delta == pytest.approx(0.61 * w.std(), rel=1e-5)
  expected = stats.truncnorm.mean(
    delta / w.std(), np.inf, loc=w.mean(), scale=w.std()
  )
  assert out.max() == pytest.approx(expected, rel=1e-4)
  np.testing.assert_array_equal(
    np.sign(out), (w > w.mean() + delta) * 1.0 - (w < w.mean() - delta) * 1.0
  )


def test_the_start_of_the_paper_is_offered():
  _, latent = made('truncated_gaussian', 'layer', threshold_init='max')
  w = latent['weights']['layer']['kernel']
  np.testing.assert_allclose(
    latent['thresholds']['layer.kernel'], 0.05 * jnp.max(jnp.abs(w))
  )


def test_the_default_start_is_the_least_squares_threshold_of_gaussians():
  params = weights((200, 500))
  reparam, latent = made('truncated_gaussian', 'layer', params)
  w = params['layer']['kernel']

  def error(ratio):
    moved = {**latent, 'thresholds': {'layer.kernel': ratio * jnp.std(w)}}
    return float(
      jnp.mean((reparam.apply(moved, ())['layer']['kernel'] - w) ** 2)
    )

  ratios = np.linspace(0.3, 1.0, 36)
  best = ratios[np.argmin([error(r) for r in ratios])]
  assert best == pytest.approx(0.61, abs=0.04)


@pytest.mark.parametrize(
  'threshold', [pytest.param(0.0, marks=pytest.mark.slow), 1e3]
)
def test_extreme_thresholds_stay_finite(threshold):
  for scheme, granularity in SETTINGS:
    reparam, latent = made(scheme, granularity)
    shape = latent['thresholds']['layer.kernel'].shape
    latent['thresholds']['layer.kernel'] = jnp.full(shape, threshold)
    out, gradient = jax.value_and_grad(
      lambda x, t=reparam: jnp.sum(t.apply(x, ())['layer']['kernel'] ** 2)
    )(latent)
    assert bool(jnp.isfinite(out))
    assert all(
      bool(jnp.all(jnp.isfinite(g))) for g in jax.tree.leaves(gradient)
    )


@pytest.mark.parametrize('scheme,granularity', SETTINGS)
def test_constant_weights_stay_finite(scheme, granularity):
  params = {'layer': {'kernel': jnp.full((3, 5), 0.2), 'bias': jnp.ones(5)}}
  reparam, latent = made(scheme, granularity, params)
  assert bool(
    jnp.all(jnp.isfinite(reparam.apply(latent, ())['layer']['kernel']))
  )


@pytest.mark.parametrize('scheme', ['truncated_gaussian', 'twn'])
def test_the_gradient_passes_unchanged_to_the_weights(scheme):
  reparam, latent = made(scheme, 'channel')
  g = jax.random.normal(jax.random.key(1), (4, 4, 8, 5))
  gradient = jax.grad(
    lambda x: jnp.sum(g * reparam.apply(x, ())['layer']['kernel'])
  )(latent)
  np.testing.assert_array_equal(gradient['weights']['layer']['kernel'], g)


def test_the_threshold_learns_through_the_scale_alone():
  reparam, latent = made('truncated_gaussian', 'layer')
  g = jax.random.normal(jax.random.key(1), (4, 4, 8, 5))
  gradient = jax.grad(
    lambda x: jnp.sum(g * reparam.apply(x, ())['layer']['kernel'])
  )(latent)['thresholds']['layer.kernel']
  out = np.asarray(reparam.apply(latent, ())['layer']['kernel'])
  w = np.asarray(latent['weights']['layer']['kernel'], np.float64)

  def alpha(delta):
    a = delta / w.std()
    return w.mean() + w.std() * stats.norm.pdf(a) / stats.norm.sf(a)

  delta = float(latent['thresholds']['layer.kernel'])
  slope = (alpha(delta + 1e-5) - alpha(delta - 1e-5)) / 2e-5
  expected = slope * np.sum(np.asarray(g) * np.sign(out))
  assert float(gradient) == pytest.approx(expected, rel=1e-3)


def test_twn_scale_is_the_mean_of_what_is_kept():
  reparam, latent = made('twn', 'channel')
  out = np.asarray(reparam.apply(latent, ())['layer']['kernel']).reshape(-1, 5)
  w = np.asarray(latent['weights']['layer']['kernel']).reshape(-1, 5)
  for group, values in zip(w.T, out.T, strict=True):
    kept = np.abs(group) > 0.7 * np.abs(group).mean()
    assert values.max() == pytest.approx(np.abs(group[kept]).mean(), rel=1e-5)
    np.testing.assert_array_equal(values != 0.0, kept)


def test_ttq_gradients_are_the_published_ones():
  reparam, latent = made('ttq', 'layer')
  g = jax.random.normal(jax.random.key(1), (4, 4, 8, 5))
  gradient = jax.grad(
    lambda x: jnp.sum(g * reparam.apply(x, ())['layer']['kernel'])
  )(latent)
  out = np.asarray(reparam.apply(latent, ())['layer']['kernel'])
  pair = gradient['scales']['layer.kernel']
  g = np.asarray(g)
  assert float(pair['positive']) == pytest.approx(g[out > 0].sum(), rel=1e-4)
  assert float(pair['negative']) == pytest.approx(-g[out < 0].sum(), rel=1e-4)
  scales = latent['scales']['layer.kernel']
  factor = np.where(
    out > 0, scales['positive'], np.where(out < 0, scales['negative'], 1.0)
  )
  np.testing.assert_allclose(
    gradient['weights']['layer']['kernel'], factor * g, rtol=1e-5
  )


@pytest.mark.parametrize('scheme,granularity', SETTINGS)
def test_vmapped_members_equal_single_ones(scheme, granularity):
  reparam, one = made(scheme, granularity)
  _, two = made(scheme, granularity, jax.tree.map(lambda x: -3.0 * x, weights()))  # noqa: E501  # fmt: skip
  many = jax.tree.map(lambda *x: jnp.stack(x), one, two)
  out = jax.vmap(reparam.apply)(many, ())['layer']['kernel']
  for got, latent in zip(out, (one, two), strict=True):
    np.testing.assert_allclose(
      got, reparam.apply(latent, ())['layer']['kernel'], rtol=1e-5
    )


def test_training_thresholds_and_weights_beats_ternarizing_afterwards():
  # Correlated inputs: other weights than the nearest ternary ones do better.
  keys = jax.random.split(KEY, 3)
  x = jax.random.normal(keys[0], (200, 8)) @ jax.random.normal(keys[1], (8, 64))
  x = x / 8.0
  target = x @ jax.random.normal(keys[2], (64, 4))
  exact = jnp.linalg.lstsq(x, target)[0]
  reparam, latent = made(
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
    weights(), scheme='twn', granularity='layer', leaves=('.*/kernel',)
  )
  assert found['leaves'] == ['layer/kernel']
  reparam, latent = made('twn', 'layer')
  sparsity = ternary.summary(reparam.apply(latent, ()), ('.*/kernel',))
  assert 0.2 < sparsity['sparsity/layer/kernel'] < 0.7


def test_bad_settings_are_refused():
  for settings in (
    {'scheme': 'binary'}, {'granularity': 'row'}, {'threshold_init': 'mean'}
  ):  # fmt: skip
    with pytest.raises(ValueError, match='not one of'):
      ternary.ternary(**settings)
  with pytest.raises(ValueError, match='matches none'):
    made('twn', 'layer', leaves=('nothing',))
