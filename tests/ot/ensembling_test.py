"""Barycenters of predictions against programmes, POT and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from scipy import optimize

from coalesce_jax.ot import ensembling

WEIGHTS = np.array([0.5, 0.3, 0.2])
IDENTITY = np.eye(5)


def predictions(seed, models=3, count=4, classes=5):
  rng = np.random.default_rng(seed)
  return rng.dirichlet(np.ones(classes), (models, count))


def costs(seed, classes=5):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(classes, 2))
  return ((x[:, None] - x[None]) ** 2).sum(-1)


def programme(mu, weights, cost):
  """The least cost and its barycenter, by SciPy's linear programme."""
  models, classes = mu.shape
  size = classes * classes
  rows = np.zeros((2 * models * classes, models * size + classes))
  right = np.zeros(len(rows))
  for k in range(models):
    for i in range(classes):
      plan = np.zeros((classes, classes))
      plan[i] = 1.0
      rows[k * classes + i, k * size : (k + 1) * size] = plan.reshape(-1)
      right[k * classes + i] = mu[k, i]
      at = (models + k) * classes + i
      rows[at, k * size : (k + 1) * size] = plan.T.reshape(-1)
      rows[at, models * size + i] = -1.0
  priced = (weights[:, None] * cost.reshape(1, -1)).reshape(-1)
  found = optimize.linprog(
    np.concatenate([priced, np.zeros(classes)]), A_eq=rows, b_eq=right,
    method='highs',
  )  # fmt: skip
  return found.fun, found.x[-classes:]


def test_small_epsilon_reaches_the_linear_programme():
  mu = predictions(0)
  cost = np.random.default_rng(1).random((5, 5))
  with jax.enable_x64(True):
    found = ensembling.from_costs(
      mu, WEIGHTS, cost, epsilon=2e-3, iterations=20_000, tolerance=0.0
    )
  for n, p in enumerate(np.asarray(found.probabilities)):
    least, expected = programme(mu[:, n], WEIGHTS, cost)
    value = sum(
      w * ot.emd2(m, p, cost) for w, m in zip(WEIGHTS, mu[:, n], strict=True)
    )
    assert value == pytest.approx(least, abs=1e-6)
    np.testing.assert_allclose(p, expected, atol=1e-4)


def entropic_value(p, mu, cost, epsilon):
  """The weighted sum of entropic costs, by POT's plans."""
  value = 0.0
  for w, m in zip(WEIGHTS, mu, strict=True):
    plan = ot.sinkhorn(m, p, cost, epsilon, stopThr=1e-14, numItermax=20_000)
    value += w * (plan * (cost + epsilon * np.log(plan))).sum()
  return value


def test_balanced_barycenters_are_stationary():
  mu, cost = predictions(1, count=2), costs(1)
  with jax.enable_x64(True):
    found = ensembling.from_costs(
      mu, WEIGHTS, cost, epsilon=0.5, iterations=2000, tolerance=1e-12
    )
  assert np.asarray(found.change).max() <= 1e-12
  moves = np.random.default_rng(0).normal(size=(4, 5))
  moves -= moves.mean(1, keepdims=True)
  for n, p in enumerate(np.asarray(found.probabilities)):
    value = functools.partial(
      entropic_value, mu=mu[:, n], cost=cost, epsilon=0.5
    )
    least = value(p)
    for move in moves:
      up, down = value(p + 1e-4 * move), value(p - 1e-4 * move)
      assert up > least and down > least
      assert abs(up - down) < 1e-2 * (up + down - 2.0 * least)


def test_balanced_barycenters_of_equal_weights_equal_those_of_pot():
  # With other weights POT 0.9.7 starts from a mean without weights.
  mu, cost = predictions(2), costs(2)
  with jax.enable_x64(True):
    found = ensembling.from_costs(
      mu, None, cost, epsilon=0.5, iterations=2000, tolerance=1e-12
    ).probabilities
  for n in range(mu.shape[1]):
    expected = ot.bregman.barycenter(
      mu[:, n].T.copy(), cost, 0.5, numItermax=5000, stopThr=1e-14
    )
    np.testing.assert_allclose(found[n], expected, atol=1e-9)


@pytest.mark.parametrize('penalty', [0.1, 1.0, 10.0])
def test_unbalanced_barycenters_equal_those_of_pot(penalty):
  mu, cost = predictions(4), costs(4)
  with jax.enable_x64(True):
    found = ensembling.from_costs(
      mu, WEIGHTS, cost, epsilon=0.5, marginal_weight=penalty / 0.5,
      iterations=2000, tolerance=1e-13,
    ).probabilities  # fmt: skip
  for n in range(mu.shape[1]):
    expected = ot.unbalanced.barycenter_unbalanced_sinkhorn(
      mu[:, n].T.copy(), cost, 0.5, penalty, weights=WEIGHTS,
      numItermax=5000, stopThr=1e-14,
    )  # fmt: skip
    expected = expected / expected.sum()
    np.testing.assert_allclose(found[n], expected, atol=1e-9)


def test_the_identity_gives_the_geometric_mean():
  mu = predictions(5)
  mean = np.prod(mu ** WEIGHTS[:, None, None], 0)
  found = ensembling.ensemble(mu, WEIGHTS, IDENTITY)
  np.testing.assert_allclose(
    found, mean / mean.sum(1, keepdims=True), rtol=1e-5
  )


def test_the_identity_gives_a_power_mean_without_equations_of_marginals():
  # With f = lambda / (lambda + epsilon) the fixed point is
  # (sum w mu^(f / (1 + f)))^(1 + f), here f = 2 / 3.
  mu = predictions(5)
  mean = (WEIGHTS[:, None, None] * mu**0.4).sum(0) ** (5.0 / 3.0)
  found = ensembling.ensemble(
    mu, WEIGHTS, IDENTITY, marginal_weight=2.0, tolerance=1e-7
  )
  np.testing.assert_allclose(
    found, mean / mean.sum(1, keepdims=True), rtol=1e-4
  )


def test_a_single_model_is_blurred_by_the_kernel():
  mu = predictions(6, models=1)
  # Not symmetric: rows belong to predictions.
  kernel = np.random.default_rng(6).random((5, 5)) + 0.01
  found = ensembling.ensemble(mu, None, kernel)
  expected = (mu[0] / kernel.sum(1)[None]) @ kernel
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  # So is one beside others of weight 0.
  others = np.concatenate([mu, predictions(7, models=2)])
  found = ensembling.ensemble(others, [1.0, 0.0, 0.0], kernel)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_constant_kernel_knows_nothing():
  found = ensembling.ensemble(predictions(8), WEIGHTS, np.ones((5, 5)))
  np.testing.assert_allclose(found, 0.2, rtol=1e-5)


def test_heavy_penalties_of_marginals_are_equations():
  mu, cost = predictions(9), costs(9)
  solve = functools.partial(
    ensembling.from_costs, mu, WEIGHTS, cost, epsilon=1.0, iterations=5000,
    tolerance=1e-10,
  )  # fmt: skip
  with jax.enable_x64(True):
    balanced = solve().probabilities
    gaps = [
      float(jnp.abs(solve(marginal_weight=w).probabilities - balanced).max())
      for w in (1e1, 1e2, 1e3, 1e4)
    ]
  assert gaps[0] > 1e-3 and gaps[-1] < 1e-4
  assert all(a > 5.0 * b for a, b in zip(gaps, gaps[1:], strict=False))


def test_products_and_logarithms_agree():
  mu, cost = predictions(10, count=100), costs(10)
  args = jnp.asarray(mu), jnp.asarray(WEIGHTS), jnp.asarray(-cost)
  solve = functools.partial(
    ensembling.solve, *args, iterations=20, tolerance=0.0
  )
  for weight in (None, 3.0):
    fast, slow = (solve(weight, products=p).probabilities for p in (1, 0))
    np.testing.assert_allclose(fast, slow, rtol=1e-4)
  # Neither loses what a certain prediction leaves to others.
  sure = jnp.zeros((1, 1, 5)).at[0, 0, 0].set(1.0)
  deep = -jnp.abs(jnp.arange(5.0)[:, None] - jnp.arange(5.0)[None]) * 14.0
  args = sure, jnp.ones(1), deep
  expected = jax.nn.softmax(deep[0])
  for products in (True, False):
    found = ensembling.solve(*args, iterations=5, products=products)
    np.testing.assert_allclose(found.probabilities[0], expected, rtol=1e-4)


def test_predictions_do_not_know_each_other():
  mu, kernel = predictions(11, count=70), np.exp(-costs(11))
  every = functools.partial(
    ensembling.ensemble, weights=WEIGHTS, kernel=kernel, iterations=30,
    tolerance=0.0,
  )  # fmt: skip
  whole = every(mu)
  assert whole.shape == (70, 5)
  np.testing.assert_allclose(every(mu[:, 65:]), whole[65:], rtol=1e-5)
  order = np.random.default_rng(0).permutation(5)
  turned = ensembling.ensemble(
    mu[:, :, order], WEIGHTS, kernel[np.ix_(order, order)], iterations=30,
    tolerance=0.0,
  )  # fmt: skip
  np.testing.assert_allclose(turned, whole[:, order], rtol=1e-4)


def test_solutions_vmap_and_compile():
  mu = jnp.asarray(np.stack([predictions(s) for s in range(3)]))
  logs = jnp.asarray(np.stack([-costs(s) for s in range(3)]))
  weights = jnp.asarray(WEIGHTS)
  solve = functools.partial(ensembling.solve, iterations=50)
  together = jax.jit(jax.vmap(solve, (0, None, 0)))(mu, weights, logs)
  for k in range(3):
    alone = solve(mu[k], weights, logs[k])
    np.testing.assert_allclose(
      together.probabilities[k], alone.probabilities, rtol=2e-3, atol=1e-4
    )


def test_iterations_end_and_say_how_far_they_came():
  mu, cost = predictions(12), costs(12)
  few, many = (
    ensembling.from_costs(mu, WEIGHTS, cost, epsilon=0.1, iterations=n)
    for n in (2, 1000)
  )
  assert few.change.shape == (4,) and float(few.change.max()) > 1e-3
  assert float(many.change.max()) <= 1e-4


def test_certain_predictions_of_different_classes_stay_finite():
  mu = np.eye(5)[:3][:, None]
  for kernel in (IDENTITY, np.exp(-costs(0))):
    for weight in (None, 1.0):
      found = ensembling.ensemble(mu, WEIGHTS, kernel, marginal_weight=weight)
      np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-5)
  # All is between the classes if what is between is similar to all.
  kernel = np.full((5, 5), 1e-4) + IDENTITY
  kernel[:3, 4] = 0.5
  found = ensembling.ensemble(mu, None, kernel)
  assert int(found[0].argmax()) == 4


GOOD = predictions(0)


@pytest.mark.parametrize(
  'call,message',
  [
    (lambda e: e(GOOD[0], None, IDENTITY), '^probabilities: shape'),
    (lambda e: e(0.5 * GOOD, None, IDENTITY), '^probabilities: .* sums to 0.5'),
    (lambda e: e(GOOD - 1.0, None, IDENTITY), '^probabilities: must be'),
    (lambda e: e(GOOD, [1.0], IDENTITY), '^weights: shape'),
    (lambda e: e(GOOD, [2.0, -1.0, 0.0], IDENTITY), '^weights: must be'),
    (lambda e: e(GOOD, None, np.eye(4)), '^kernel: shape'),
    (lambda e: e(GOOD, None, -IDENTITY), '^kernel: must be'),
    (lambda e: e(GOOD, None, np.diag([1, 1, 0, 1, 1])), '^kernel: row 2'),
    (lambda e: e(GOOD, None, np.ones((5, 1)) * [1, 1, 1, 1, 0]), 'column 4'),
    (
      lambda e: e(GOOD, None, IDENTITY, marginal_weight=0.0),
      '^marginal_weight: 0.0',
    ),
    (lambda e: e(GOOD, None, IDENTITY, iterations=0), '^iterations: 0'),
    (lambda e: e(GOOD, None, IDENTITY, tolerance=-1.0), '^tolerance: -1'),
    (
      lambda e: ensembling.from_costs(GOOD, None, IDENTITY, epsilon=0.0),
      '^epsilon: 0.0',
    ),
    (
      lambda e: ensembling.from_costs(
        GOOD, None, np.full((5, 5), np.nan), epsilon=1.0
      ),
      '^cost: ',
    ),
  ],
)
def test_bad_arguments_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call(ensembling.ensemble)


@pytest.mark.parametrize('epsilon', [0.01, 0.0005])
def test_kernels_that_are_narrow_agree_with_sums_of_logarithms(epsilon):
  rng = np.random.default_rng(3)
  p = rng.dirichlet(np.full(5, 0.3), (3, 4))
  points = rng.normal(size=(5, 2))
  cost = ((points[:, None] - points[None]) ** 2).sum(2)
  # Ranges of log K beyond those of both precisions.
  assert cost.max() / epsilon > (600.0 if epsilon < 0.01 else 60.0)
  found = ensembling.from_costs(
    p, None, cost, epsilon=epsilon, iterations=30, tolerance=0.0
  )
  assert found.probabilities.dtype == jnp.float32
  with jax.enable_x64(True):
    expected = ensembling.solve(
      jnp.asarray(p), jnp.full(3, 1.0 / 3.0), jnp.asarray(-cost / epsilon),
      iterations=30, tolerance=0.0,
    )  # fmt: skip
    expected = np.asarray(expected.probabilities)
  np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
