"""Continual learning: settings, scores of images, and tables of results."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.continual import controls
from coalesce_jax.continual import counting
from coalesce_jax.continual import stream
from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.metrics import features
from experiments.continual import scoring
from experiments.continual import tables
from experiments.continual import train
from experiments.continual.configs import classes
from experiments.continual.configs import latents
from experiments.continual.configs import rows
from experiments.continual.configs import translation
from tests import small
from tests.continual import streams


@pytest.mark.parametrize('variant', ['', 'quick'])
@pytest.mark.parametrize('module', [classes, latents, translation])
def test_settings_of_all_trials_are_valid(module, variant):
  config = module.get_config(variant)
  train.validate(config)
  assert set(train.names(config)) <= set(rows.LEARNERS)
  assert config.steps == 4 or not variant
  bench = train.Bench(config)
  assert len({source.name for source in bench.sources}) == len(config.tasks)
  config.only = ('nothing',)
  with pytest.raises(ValueError, match="row 'nothing' is not one of"):
    train.validate(config)
  with pytest.raises(ValueError, match="variant 'x'"):
    module.get_config('x')


def test_scores_of_images_are_those_of_their_features(monkeypatch):
  # The classifier sees the mean of an image: class 1 if it is bright.
  network = features.Features(
    'two',
    lambda params, x: (
      x.reshape(len(x), -1)[:, :2],
      jnp.stack([-x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1),
    ),
    (),
    (8, 8, 1),
    2,
    1.0,
  )
  monkeypatch.setattr(scoring.feature_registry, 'load', lambda name: network)
  rng = np.random.default_rng(0)
  real = rng.normal(0.0, 0.1, (40, 8, 8, 1)).astype(np.float32)
  score = scoring.Latents({'t': ('mnist:1', real)}, 20)
  moved = real + np.float32(0.5)
  found = score.of_images('t', moved)
  # Equal covariances: the distance is that of the means, 2 x 0.25.
  np.testing.assert_allclose(found['frechet'], 0.5, rtol=1e-4)
  assert found['error'] == 0.0
  assert score.of_images('t', -moved)['error'] == 1.0
  # Replicas are scored one by one, on samples of the prior of the task.
  task = streams.points(1)[0]
  constant = types.Network(
    lambda key: jnp.zeros(()),
    lambda params, z: jnp.broadcast_to(
      params + 0.01 * z[:, :1, None, None], (len(z), 8, 8, 1)
    ),
  )
  model = stream.Model(constant, jnp.array([0.9, -0.9]))
  several = score(model, task._replace(name='t'), True)
  np.testing.assert_array_equal(several['error'], [0.0, 1.0])
  assert score(None, task, True) is None


def test_narrower_networks_have_at_most_as_many_parameters():
  tasks = [one._replace(spec=small.IMAGES) for one in streams.points(3)]
  for t in range(1, 3):
    counted = counting.stored(tasks[t].spec, 0.25, t).stored
    spec = controls.narrower(tasks[t].spec, counted)
    assert trees.count(small.drawn(spec).params) <= counted


def result(matrix, stored, **changes):
  scores = {'frechet': matrix, 'error': matrix}
  return {
    'tasks': ['a', 'b'], 'scores': scores, 'stored': stored, 'whole': 100,
    'bytes': [4 * n for n in stored], 'carried': [0, 0], **changes,
  }  # fmt: skip


def test_tables_have_learners_controls_and_matrices():
  results = {
    'controls': {
      'controls': {k: {'real': {'frechet': 1.0, 'error': 0.0}} for k in 'ab'}
    },
    'standalone': result([[[2.0], [None]], [[2.0], [4.0]]], [100, 100]),
    'sequential': result([[[2.0], [9.0]], [[8.0], [3.0]]], [100, 0]),
    'joint': result([[[None], [None]], [[5.0], [6.0]]], [100, 0]),
    'piggyback_1_4': result([[[2.0], [None]], [[2.0], [4.5]]], [100, 30]),
  }
  made = tables.report(latents.get_config(), results)
  first = made.text.split('\n\n')[0]
  assert first == (
    '| frechet | learned | final | forgetting | later | behind '
    '| less_piggyback | added share | bytes | carried |\n'
    '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n'
    '| standalone | 3.000 | 3.000 | 0.000 | 4.000 | 0.000 | -0.500 | 1.000 '
    '| 800 | 0 |\n'
    '| sequential | 2.500 | 5.500 | 3.000 | 3.000 | -1.000 | -1.500 | 0.000 '
    '| 400 | 0 |\n'
    '| joint |  | 5.500 |  | 6.000 | 2.000 | 1.500 | 0.000 | 400 | 0 |\n'
    '| piggyback_1_4 | 3.250 | 3.250 | 0.000 | 4.500 | 0.500 | 0.000 | 0.300 '
    '| 520 | 0 |'
  )
  assert '| real, frechet | 1.000 | 1.000 |' in made.text
  assert '| b | 8.000 | 3.000 |' in made.text
  assert set(made.figures) == {'matrices', 'sizes'}
  assert made.line == {
    'frechet': {
      'standalone': 3.0, 'sequential': 5.5, 'joint': 5.5,
      'piggyback_1_4': 3.25,
    }
  }  # fmt: skip


def test_the_command_line_imports_without_running():
  main = importlib.import_module('experiments.continual.main')
  assert main.EXPERIMENT.name == 'continual'
