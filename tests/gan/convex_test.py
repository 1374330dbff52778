"""The convex WGAN: its certificate, competitors, duality and controls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.gan import convex

SCALES = np.array([3.0, 2.0, 1.5, 1.0, 0.5, 0.2])


def data(seed, count=50, latent_size=6):
  """Latents and samples, with correlated and shifted columns."""
  rng = np.random.default_rng(seed)
  turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
  x = (rng.normal(size=(count, 6)) * SCALES) @ turn + 0.3
  z = rng.normal(size=(count, latent_size)) @ np.diag(
    np.linspace(2.0, 0.1, latent_size)
  )
  return z, x


def moment(x):
  return x.T @ x / len(x)


@pytest.mark.parametrize('beta', [1e-3, 0.1, 1.0, 4.0])
def test_the_residual_equals_beta(beta):
  z, x = data(0)
  with jax.enable_x64(True):
    found = convex.solve(jnp.asarray(z), jnp.asarray(x), beta)
  made = z @ np.asarray(found.weights)
  norm = np.linalg.norm(moment(x) - moment(made), 2)
  assert norm == pytest.approx(beta, abs=1e-6)
  assert float(found.residual) == pytest.approx(norm, abs=1e-9)
  assert float(found.value) == pytest.approx(np.trace(moment(made)), rel=1e-9)
  variances = np.linalg.eigvalsh(moment(x))
  excess = np.maximum(variances - beta, 0.0)
  assert float(found.value) == pytest.approx(excess.sum(), rel=1e-9)
  assert int(found.rank) == (excess > 0.0).sum()


def test_no_feasible_moment_has_a_smaller_trace():
  # All positive semidefinite 2 x 2 matrices near the optimum, on a grid.
  rng = np.random.default_rng(1)
  x = rng.normal(size=(30, 2)) @ np.array([[2.0, 0.7], [0.0, 0.8]])
  z = rng.normal(size=(30, 2))
  beta, s = 0.4, moment(x)
  with jax.enable_x64(True):
    value = float(convex.solve(jnp.asarray(z), jnp.asarray(x), beta).value)
  grid = np.linspace(-1.0, 1.0, 101) * np.abs(s).max()
  a, b, c = np.meshgrid(grid.clip(0.0), grid, grid.clip(0.0), indexing='ij')
  valid = a * c >= b * b
  p, q, r = s[0, 0] - a, s[0, 1] - b, s[1, 1] - c
  norm = np.abs(p + r) / 2.0 + np.sqrt((p - r) ** 2 / 4.0 + q**2)
  least = (a + c)[valid & (norm <= beta)].min()
  step = grid[1] - grid[0]
  assert value - 1e-9 <= least <= value + 4.0 * step


def test_weights_have_the_least_norm_of_all_pairings():
  z, x = data(2)
  with jax.enable_x64(True):
    found = convex.solve(jnp.asarray(z), jnp.asarray(x), 0.5)
  _, d, q = np.linalg.svd(z / np.sqrt(len(z)), full_matrices=False)
  _, sigma, v = np.linalg.svd(x / np.sqrt(len(x)), full_matrices=False)
  root = np.sqrt(np.maximum(sigma**2 - 0.5, 0.0))
  rng = np.random.default_rng(2)
  own = np.linalg.norm(found.weights)
  for _ in range(50):
    order = rng.permutation(6)
    other = (q.T / d)[:, order] * root @ v
    made = z @ other
    assert np.trace(moment(made)) == pytest.approx(float(found.value), rel=1e-6)
    assert np.linalg.norm(other) >= own * (1.0 - 1e-9)


def test_critics_bound_the_value_from_below():
  z, x = data(3)
  beta = 0.3
  _, vectors = np.linalg.eigh(moment(x))
  active = np.linalg.eigvalsh(moment(x)) > beta
  best = (vectors * active) @ vectors.T
  rng = np.random.default_rng(3)
  with jax.enable_x64(True):
    value = float(convex.solve(jnp.asarray(z), jnp.asarray(x), beta).value)
    bound = lambda a: float(convex.dual_value(jnp.asarray(x), a, beta))
    assert bound(best) == pytest.approx(value, rel=1e-9)
    # Eigenvalues above 1 count as 1.
    assert bound(3.0 * best) == pytest.approx(value, rel=1e-9)
    for _ in range(20):
      a = rng.normal(size=(6, 6))
      assert bound(a + a.T) < value
      near = best + 0.01 * (a + a.T)
      assert value - 1.0 < bound(near) < value


def test_few_latents_leave_the_next_variance():
  z, x = data(4, latent_size=2)
  found = convex.solve(jnp.asarray(z), jnp.asarray(x), 0.01)
  variances = np.sort(np.linalg.eigvalsh(moment(x)))[::-1]
  assert int(found.rank) == 2
  assert float(found.residual) == pytest.approx(variances[2], rel=1e-4)
  # Latents of a hidden dependence have fewer directions than dimensions.
  z = np.concatenate([z, z[:, :1] + z[:, 1:]], 1)
  found = convex.solve(jnp.asarray(z), jnp.asarray(x), 0.01)
  assert int(found.rank) == 2 and np.abs(found.weights).max() < 1e3


def test_a_large_beta_asks_for_nothing():
  z, x = data(5)
  found = convex.solve(jnp.asarray(z), jnp.asarray(x), 1e3)
  assert float(found.value) == 0.0 == float(jnp.abs(found.weights).max())
  largest = np.linalg.eigvalsh(moment(x))[-1]
  assert float(found.residual) == pytest.approx(largest, rel=1e-4)


def test_principal_components_are_the_control():
  z, x = data(6)
  variances = np.sort(np.linalg.eigvalsh(moment(x)))[::-1]
  for rank in (1, 3, 6):
    found = convex.pca(jnp.asarray(z), jnp.asarray(x), rank)
    rest = [*variances[rank:], 0.0][0]
    assert float(found.residual) == pytest.approx(rest, abs=1e-4)
    expected = variances[:rank].sum()
    assert float(found.value) == pytest.approx(expected, rel=1e-4)
  same = convex.solve(jnp.asarray(z), jnp.asarray(x), 0.0)
  np.testing.assert_allclose(found.weights, same.weights, rtol=1e-3, atol=1e-4)
  # At the same residual the control has a larger norm.
  control = convex.pca(jnp.asarray(z), jnp.asarray(x), 3)
  best = convex.solve(jnp.asarray(z), jnp.asarray(x), float(control.residual))
  assert float(best.value) < 0.95 * float(control.value)


def test_solutions_vmap():
  pairs = [data(s) for s in range(3)]
  z, x = (jnp.asarray(np.stack(each)) for each in zip(*pairs, strict=True))
  together = jax.vmap(convex.solve, (0, 0, None))(z, x, 0.5)
  for k in range(3):
    alone = convex.solve(z[k], x[k], 0.5)
    made = [z[k] @ w for w in (together.weights[k], alone.weights)]
    np.testing.assert_allclose(*map(moment, made), rtol=1e-3, atol=1e-3)
    assert int(together.rank[k]) == int(alone.rank)


def test_weights_alone_are_those_of_the_solution():
  z, x = (jnp.asarray(a) for a in data(7))
  found = convex.solve(z, x, 0.5)
  np.testing.assert_array_equal(convex.weights(z, x, 0.5), found.weights)
  largest = np.linalg.eigvalsh(moment(np.asarray(x)))[-1]
  shrunk = convex.weights(z, x, 0.2, relative=True)
  norm = np.linalg.norm(moment(np.asarray(x)) - moment(z @ shrunk), 2)
  assert norm == pytest.approx(0.2 * largest, rel=1e-3)


def images(seed, count=40):
  """Smooth images `[N, 8, 8, 2]` around a mean."""
  rng = np.random.default_rng(seed)
  coarse = rng.normal(size=(count, 2, 2, 2)).repeat(4, 1).repeat(4, 2)
  return 1.0 + coarse + 0.1 * rng.normal(size=(count, 8, 8, 2))


def test_stages_grow_and_each_has_its_certificate():
  x, z = images(0), np.random.default_rng(1).normal(size=(40, 39))
  betas = (0.02, 0.01, 0.005)
  with jax.enable_x64(True):
    found = convex.progressive(z, x, betas)
    made = np.asarray(convex.generate(found, jnp.asarray(z)))
  assert [w.shape for w in found.weights] == [(39, 8), (32, 32), (128, 128)]
  assert made.shape == x.shape and found.side == 2
  # The first stage has latents for all of its directions.
  small = x.reshape(40, 2, 4, 2, 4, 2).mean((2, 4)).reshape(40, -1)
  small = small - small.mean(0)
  first = z @ np.asarray(found.weights[0])
  norm = np.linalg.norm(moment(small) - moment(first), 2)
  assert norm == pytest.approx(betas[0], abs=1e-6)
  assert found.residuals[0] == pytest.approx(norm, abs=1e-9)
  # The last one has 8, so that the variance of the ninth may be left.
  centred, moved = (
    a.reshape(40, -1) - x.mean(0).reshape(1, -1) for a in (x, made)
  )
  last = np.linalg.norm(moment(centred) - moment(moved), 2)
  assert found.residuals[2] == pytest.approx(last, abs=1e-9)
  ninth = np.sort(np.linalg.eigvalsh(moment(centred)))[::-1][8]
  assert last == pytest.approx(max(betas[2], ninth), abs=1e-6)


def test_stages_hand_on_what_they_made():
  x, z = images(2), np.random.default_rng(3).normal(size=(40, 6))
  found = convex.progressive(z, x, (0.1, 0.05))
  fresh = np.random.default_rng(4).normal(size=(5, 6))
  small = (fresh @ np.asarray(found.weights[0])).reshape(5, 4, 4, 2)
  doubled = np.kron(small, np.ones((1, 2, 2, 1))).reshape(5, -1)
  expected = doubled @ np.asarray(found.weights[1])
  expected = expected.reshape(5, 8, 8, 2) + x.mean(0)[None]
  made = convex.generate(found, jnp.asarray(fresh, jnp.float32))
  np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)


Z, X = np.ones((40, 3)), images(0)


@pytest.mark.parametrize(
  'arguments,message',
  [
    ((Z[:3], X, (1.0,)), '^latents: 3 for 40'),
    ((Z[0], X, (1.0,)), '^latents: shape'),
    ((Z, X[:, :4], (1.0,)), '^images: shape'),
    ((Z, np.nan * X, (1.0,)), '^images: values'),
    ((Z, X, ()), '^betas: there is none'),
    ((Z, X, (1.0, -1.0)), '^betas: -1.0'),
    ((Z, X, (1.0,) * 5), '^images: side 8 cannot be halved 4 times'),
  ],
)
def test_bad_arguments_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    convex.progressive(*arguments)
