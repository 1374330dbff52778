"""Ensembling by barycenters: scores by hand, selection, and a whole run."""

import json

import numpy as np
import pytest

from coalesce_jax.trials import trials
from experiments.ensembling import classifiers
from experiments.ensembling import main
from experiments.ensembling import semantics
from experiments.ensembling import speed
from experiments.ensembling import tables
from experiments.ensembling import train
from experiments.ensembling.configs import default


def test_semantic_errors_know_groups():
  found = semantics.distances('fashion_mnist')
  # A shirt, a coat and a boot; a sandal and a boot.
  assert (found[6, 6], found[6, 4], found[6, 9]) == (0.0, 0.5, 1.0)
  assert found[5, 9] == 0.5 and found[8].sum() == 9.0
  for name, groups in semantics.GROUPS.items():
    assert sorted(k for group in groups for k in group) == list(range(10)), name


def test_scores_are_those_by_hand():
  distance = np.array([[0.0, 0.5, 1.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]])
  sure = np.array(
    [[0.5, 0.3, 0.2], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]
  )
  found = semantics.scores(sure, np.array([0, 1, 2, 2]), distance)
  assert found['accuracy'] == 0.5
  assert found['semantic_error'] == pytest.approx((0.5 + 1.0) / 4.0)
  assert found['severity'] == pytest.approx(0.75)
  right = np.log([0.5, 0.25, 0.1, 0.8])
  assert found['log_loss'] == pytest.approx(-right.mean())
  perfect = semantics.scores(np.eye(3), np.arange(3), distance)
  assert perfect['severity'] == 0.0 and perfect['accuracy'] == 1.0


def test_similarity_is_what_models_confuse():
  # Class 0 is taken for 1 in a quarter of the mass, 1 for 0 in a ninth.
  shown = np.array(
    [[[0.75, 0.25, 0.0], [1 / 9, 8 / 9, 0.0], [0.0, 0.0, 1.0]]] * 2
  )
  found = semantics.similarity(shown, np.arange(3), least=1e-3)
  expected = np.sqrt((0.25 / 9) / (0.75 * 8 / 9))
  assert found[0, 1] == found[1, 0] == pytest.approx(expected)
  np.testing.assert_array_equal(np.diag(found), 1.0)
  assert found[0, 2] == 1e-3


def test_settings_are_selected_by_semantic_error_at_equal_accuracy():
  each = {
    name: {'accuracy': accuracy, 'semantic_error': error}
    for name, accuracy, error in (
      ('a', 0.9, 0.2), ('b', 0.8, 0.1), ('c', 0.91, 0.19),
    )
  }  # fmt: skip
  assert train.select(each, 0.85) == 'c'
  assert train.select(each, 0.7) == 'b' == train.select(each, None)
  assert train.select(each, 0.99) == 'c'


def test_the_geometric_mean_is_normalised():
  p = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5))
  expected = np.prod(p, 0) ** (1.0 / 3.0)
  expected /= expected.sum(1, keepdims=True)
  np.testing.assert_allclose(train.geometric(p), expected, rtol=1e-12)


def test_models_get_images_of_other_shares_of_classes():
  config = default.get_config('quick')
  config.concentration = 0.2
  labels = np.repeat(np.arange(10), 30)
  rows = classifiers.chosen(np.random.default_rng(0), labels, config)
  assert rows.shape == (config.models, config.images)
  shares = [np.bincount(labels[r], minlength=10) / config.images for r in rows]
  for one, other in zip(shares, shares[1:], strict=False):
    assert np.abs(one - other).sum() > 0.5


@pytest.mark.parametrize(
  'name,value', [('dataset', 'mnist'), ('models', 0), ('epsilons', (0.0,))]
)
def test_wrong_settings_are_one_line(name, value):
  config = default.get_config('quick')
  config.unlock()
  config[name] = value
  with pytest.raises(ValueError, match=name):
    train.validate(config)
  with pytest.raises(ValueError, match='variant'):
    default.get_config('long')


def test_times_beside_pot_are_ratios_by_kernel():
  config = default.get_config('quick')
  found = speed.beside_pot(config)
  assert list(found['kernels']) == ['epsilon 0.1', 'epsilon 0.02']
  for row in found['kernels'].values():
    assert len(row['ratio']) == 1 and min(*row['ratio'], *row['seconds']) > 0.0
  text = tables.report(config, {'speed': found}).text
  assert '| epsilon 0.1 | ' in text and 'POT, times as long' in text


@pytest.mark.slow
def test_it_runs_whole_and_is_not_run_again(tmp_path):
  config = default.get_config('quick')
  found = trials.complete(main.EXPERIMENT, config, tmp_path)
  rows = json.loads((tmp_path / 'summary.json').read_text())['rows']
  assert len(rows) == 7 and set(rows) < set(found)
  for row in rows.values():
    assert len(row['accuracy']) == 2
    assert 0.0 < min(row['accuracy']) and max(row['semantic_error']) < 1.0
  assert rows[train.GEOMETRIC]['less_geometric'] == [0.0, 0.0]
  assert '| barycenter |' in (tmp_path / 'tables.md').read_text()
  kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob('trials/*.json')}
  assert len(kept) == 3
  assert trials.complete(main.EXPERIMENT, config, tmp_path) == found
  assert kept == {p: p.stat().st_mtime_ns for p in kept}
