"""Ternary schemes: published formulas, gradients, extreme groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from coalesce_jax.transforms import ternary
from tests.transforms import layers

SETTINGS = [(s, g) for s in ternary.SCHEMES for g in ternary.GRANULARITIES]
# Groups of another granularity are the same lines over other axes.
ONE_GRANULARITY = [
  pytest.param(s, g, marks=[pytest.mark.slow] if g == 'layer' else [])
  for s, g in SETTINGS
]


def test_gaussian_scale_is_the_mean_of_a_truncated_normal():
  reparam, latent = layers.made('truncated_gaussian', 'layer')
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
  _, latent = layers.made('truncated_gaussian', 'layer', threshold_init='max')
  w = latent['weights']['layer']['kernel']
  np.testing.assert_allclose(
    latent['thresholds']['layer.kernel'], 0.05 * jnp.max(jnp.abs(w))
  )


def test_the_default_start_is_the_least_squares_threshold_of_gaussians():
  params = layers.weights((200, 500))
  reparam, latent = layers.made('truncated_gaussian', 'layer', params)
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
@pytest.mark.parametrize('scheme,granularity', ONE_GRANULARITY)
def test_extreme_thresholds_stay_finite(scheme, granularity, threshold):
  reparam, latent = layers.made(scheme, granularity)
  shape = latent['thresholds']['layer.kernel'].shape
  latent['thresholds']['layer.kernel'] = jnp.full(shape, threshold)

  @jax.jit
  def evaluated(latent):
    return jax.value_and_grad(
      lambda x: jnp.sum(reparam.apply(x, ())['layer']['kernel'] ** 2)
    )(latent)

  out, gradient = evaluated(latent)
  assert bool(jnp.isfinite(out))
  assert all(bool(jnp.all(jnp.isfinite(g))) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize('scheme,granularity', ONE_GRANULARITY)
def test_constant_weights_stay_finite(scheme, granularity):
  params = {'layer': {'kernel': jnp.full((3, 5), 0.2), 'bias': jnp.ones(5)}}
  reparam, latent = layers.made(scheme, granularity, params)
  assert bool(
    jnp.all(jnp.isfinite(jax.jit(reparam.apply)(latent, ())['layer']['kernel']))
  )


@pytest.mark.parametrize('scheme', ['truncated_gaussian', 'twn'])
def test_the_gradient_passes_unchanged_to_the_weights(scheme):
  reparam, latent = layers.made(scheme, 'channel')
  g = jax.random.normal(jax.random.key(1), (4, 4, 8, 5))
  gradient = jax.grad(
    lambda x: jnp.sum(g * reparam.apply(x, ())['layer']['kernel'])
  )(latent)
  np.testing.assert_array_equal(gradient['weights']['layer']['kernel'], g)


def test_the_threshold_learns_through_the_scale_alone():
  reparam, latent = layers.made('truncated_gaussian', 'layer')
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
  reparam, latent = layers.made('twn', 'channel')
  out = np.asarray(reparam.apply(latent, ())['layer']['kernel']).reshape(-1, 5)
  w = np.asarray(latent['weights']['layer']['kernel']).reshape(-1, 5)
  for group, values in zip(w.T, out.T, strict=True):
    kept = np.abs(group) > 0.7 * np.abs(group).mean()
    assert values.max() == pytest.approx(np.abs(group[kept]).mean(), rel=1e-5)
    np.testing.assert_array_equal(values != 0.0, kept)


def test_ttq_gradients_are_the_published_ones():
  reparam, latent = layers.made('ttq', 'layer')
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
