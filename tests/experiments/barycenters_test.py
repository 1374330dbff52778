"""W2 barycenters: problems against their definitions, scores, a whole run."""

import json

import numpy as np
import pytest

from coalesce_jax.ot import gaussians
from coalesce_jax.trials import trials
from experiments.barycenters import main
from experiments.barycenters import problems
from experiments.barycenters import train
from experiments.barycenters.configs import default


@pytest.mark.parametrize('kind', problems.KINDS)
def test_points_are_samples_of_the_barycenter_and_maps_are_monotone(kind):
  problem = problems.make(kind, 3, np.random.default_rng(0))
  y, x = problem.pairs(np.random.default_rng(1), 20_000)
  assert y.shape == x.shape == (3, 20_000, 3)
  for points in x:
    np.testing.assert_allclose(points.mean(0), problem.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(points.T), problem.covariance, atol=0.06)
  # Maps of convex potentials are monotone; those of other inputs differ.
  for samples, points in zip(y, x, strict=True):
    steps = np.diff(samples, axis=0), np.diff(points, axis=0)
    assert ((steps[0] * steps[1]).sum(1) > 0.0).all()
  assert problems.unexplained(y, x, problem) > 1.0
  assert problems.unexplained(x, x, problem) == 0.0
  if problem.maps is not None:
    np.testing.assert_allclose(problem.maps(y), x)


def test_weighted_maps_average_to_the_identity():
  # The same noise for all inputs: each gets the same points.
  class Same:
    def __init__(self):
      self.rng = np.random.default_rng(2)
      self.noise = self.rng.normal(size=(50, 4))

    def normal(self, size):
      return self.noise.reshape(size)

    def integers(self, high, size):
      return np.arange(size) % high

  problem = problems.make('bent', 4, np.random.default_rng(0))
  y, x = problem.pairs(Same(), 50)
  np.testing.assert_array_equal(x[0], x[2])
  mean = np.tensordot(problem.weights, y, 1)
  np.testing.assert_allclose(mean, x[0], atol=1e-12)


def test_scores_are_percentages_of_the_variance():
  problem = problems.of_gaussians(np.zeros((2, 2)), np.stack([np.eye(2)] * 2))
  x = np.random.default_rng(0).normal(size=(2, 400, 2))
  shifted = x + np.array([0.3, -0.4])
  # 0.25 of a trace of 2.
  assert problems.unexplained(shifted, x, problem) == pytest.approx(12.5)
  x = x[0] - x[0].mean(0)
  found = problems.of_moments(2.0 * x, problem)
  expected = gaussians.bures_squared(4.0 * np.cov(x.T, bias=True), np.eye(2))
  assert found == pytest.approx(50.0 * expected)


def test_published_gaussians_must_have_their_barycenter(tmp_path):
  covariances = [np.diag([1.0, 4.0]), np.diag([4.0, 1.0]), np.eye(2)]
  roots = sum(np.sqrt(c) for c in covariances) / 3.0
  content = {
    f'sampler_{j}': {'mean': [0.0, 0.0], 'cov': c.tolist()}
    for j, c in enumerate(covariances)
  }
  path = tmp_path / 'sampler_stats_2.json'
  for factor in (1.0, 1.1):
    truth = {'mean': [0.0, 0.0], 'cov': (factor * roots @ roots).tolist()}
    path.write_text(json.dumps({**content, 'ground_truth_sampler': truth}))
    if factor == 1.0:
      found = problems.make('gaussians', 2, None, str(tmp_path))
      np.testing.assert_allclose(found.covariance, roots @ roots, atol=1e-8)
    else:
      with pytest.raises(ValueError, match='its barycenter is off by'):
        problems.published(path)
  path.write_text('{}')
  with pytest.raises(ValueError, match='no published Gaussians'):
    problems.published(path)


def test_shapes_are_centred_and_scaled():
  x = problems.shapes(np.random.default_rng(0), 200)
  assert x.shape == (3, 200, 2)
  np.testing.assert_allclose(x.mean((1, 2)), 0.0, atol=1e-9)
  np.testing.assert_allclose(x.std((1, 2)), 7.0)
  # Circles: two radii, the inner one half the outer one.
  radii = np.unique(np.round(np.linalg.norm(x[1], axis=1), 6))
  assert len(radii) == 2 and radii[1] == pytest.approx(2.0 * radii[0])


@pytest.mark.parametrize(
  'name,value,match',
  [
    ('kinds', ('other',), 'kinds'),
    ('seeds', 0, 'seeds 0'),
    ('samples', 8, 'samples 8: too few'),
    ('data_dir', 'none', 'data_dir: no 2d_free'),
  ],
)
def test_wrong_settings_are_one_line(name, value, match):
  config = default.get_config('quick')
  config[name] = value
  with pytest.raises(ValueError, match=match):
    train.validate(config)
  with pytest.raises(ValueError, match='variant'):
    default.get_config('long')


@pytest.mark.slow
def test_it_runs_whole_and_is_not_run_again(tmp_path):
  config = default.get_config('quick')
  found = trials.complete(main.EXPERIMENT, config, tmp_path)
  rows = json.loads((tmp_path / 'summary.json').read_text())['rows']
  assert set(rows) == {'gaussians_4', 'bent_4', 'plane'}
  for kind in ('gaussians_4', 'bent_4'):
    maps = {n: np.mean(r['maps']) for n, r in rows[kind].items() if 'maps' in r}
    assert maps['potentials'] < 0.5 * maps['plain mixture']
    assert maps['potentials'] < 0.5 * maps['independent means']
    assert np.isfinite(rows[kind]['particles, critics']['moments']).all()
  assert 'particles, kernel scores' in rows['gaussians_4']
  maps = rows['gaussians_4']['particles, critics']['maps']
  assert np.mean(maps) < np.mean(rows['gaussians_4']['plain mixture']['maps'])
  values = {n: r['value'] for n, r in rows['plane'].items() if 'value' in r}
  assert min(values['many starts']) > 0.0 and len(values) == 4
  assert '| potentials |' in (tmp_path / 'tables.md').read_text()
  assert trials.complete(main.EXPERIMENT, config, tmp_path) == found
