"""Tuning and testing: every replica by its samples, variant, rates and step."""

import types

import numpy as np
import pytest

from coalesce_jax.models import generator
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.trials import bench as bench_lib
from coalesce_jax.trials import budget
from coalesce_jax.trials import evaluation
from coalesce_jax.trials import methods
from coalesce_jax.trials import selection
from coalesce_jax.trials import starts as starts_lib
from coalesce_jax.trials import testing
from coalesce_jax.trials import tuning

VALUES = (0.25, 0.75)
TUNING = tuning.Tuning(rates=(0.3, 1.0), generator_rates=(1.0, 3.0), draws=2)


@pytest.fixture
def marked(monkeypatch):
  """A bench, and a method whose replicas carry what they were given."""

  def draws(first, count):
    images = np.arange(first, first + count, dtype=np.uint8)
    return lambda n: np.tile(images[:, None, None, None, None], (1, n, 2, 2, 1))

  setting = types.SimpleNamespace(
    config=config_lib.override(defaults.get_config(), {'seeds': 2}),
    problem=types.SimpleNamespace(nodes=[0], reference='test'),
    tuning='tuning', name='any', tuned=draws(20, 3), tested=draws(10, 2),
  )  # fmt: skip

  def recipe(run):
    given = {
      'value': run.values, 'rate': run.config.rate,
      'of_generator': run.config.generator_rate,
      'draw': np.asarray(run.local)[:, 0, 0, 0, 0],
      'seed': run.nodes[0].params['seed'],
    }  # fmt: skip
    hooks = run.hooks('any')
    for step in (0, 10, 20):
      hooks.observe(step, given | {'step': np.full(len(run.values), step)})
    return generator.Generator(None, given, None, None)

  def read(work, setting, name, seeds):
    assert name == 'node_0'
    return generator.Generator(None, {'seed': np.array(seeds)}, None, None)

  made = methods.Method('', recipe, size=lambda made, settings: 77)
  monkeypatch.setitem(methods.TABLE, 'marked', made)
  monkeypatch.setattr(starts_lib, 'read', read)
  return bench_lib.Bench(
    None, setting, budget.Budget(steps=20, chunk=10, look_every=10)
  )


def test_every_replica_is_scored_by_its_draw_and_named_by_its_variant(
  marked, monkeypatch
):
  best = {0.25: (0.3, 1.0, 20), 0.75: (1.0, 3.0, 10)}

  def curves(setting, made, by_step, real, local, sets):
    assert real == 'tuning'
    found = {'frechet': {}, 'copied': {}, 'unseen': {}}
    for step, params in by_step.items():
      count = len(params['step'])
      of = [{k: v[i] for k, v in params.items()} for i in range(count)]
      for i, replica in enumerate(of):
        assert local[sets['copied'][i]].flat[0] == replica['draw']
        assert replica['draw'] == 20 + replica['seed']
        assert local[sets['unseen'][i]].flat[0] == 22
      found['frechet'][step] = [
        np.sum(
          np.abs(
            np.subtract(
              best[float(m['value'])], (m['rate'], m['of_generator'], step)
            )
          )
        )
        # The mean over draws is what counts.
        + (100.0 if m['seed'] else 0.0)
        for m in of
      ]
      found['copied'][step] = found['unseen'][step] = [0.0] * len(of)
    return found

  monkeypatch.setattr(evaluation, 'curves', curves)
  made = tuning.tune(marked, TUNING, 'marked', 20, VALUES, {})
  found = {
    row['value']: (row['rate'], row['generator_rate'], row['step'])
    for row in made['rows']
  }
  assert found == best
  for row in made['rows']:
    assert row['frechet'] == pytest.approx(50.0, abs=1e-5)
    assert set(row['curves']) == {'0.3, 1', '1, 3'}


def test_every_replica_is_tested_at_what_was_selected(marked, monkeypatch):
  chosen = [selection.Choice(0.3, 1.0, 20), selection.Choice(1.0, 3.0, 10)]

  def curves(setting, made, by_step, real, local, sets):
    assert real == 'test'
    assert [local[c].flat[0] for c in sets['copied']] == [10, 11] * 2
    found = {s: list(10.0 * p['value'] + s) for s, p in by_step.items()}
    return {'frechet': found, 'copied': found}

  def scores(setting, one, local, *, held_out, seed):
    given = {k: float(v) for k, v in one.params.items()}
    assert given['draw'] == local.flat[0] == 10 + seed
    assert given['seed'] == seed and held_out == 0.1
    return given

  monkeypatch.setattr(evaluation, 'curves', curves)
  monkeypatch.setattr(evaluation, 'scores', scores)
  made = testing.test(marked, 'marked', 20, VALUES, chosen, {})
  for row, value, choice in zip(made['rows'], VALUES, chosen, strict=True):
    assert row['value'] == value
    given = row['scores']
    assert given['value'] == [value] * 2 and given['draw'] == [10, 11]
    assert given['step'] == [choice.step] * 2 and given['bytes'] == [77] * 2
    np.testing.assert_allclose(given['rate'], choice.rate)
    np.testing.assert_allclose(given['of_generator'], choice.generator_rate)
    assert row['curve'][10] == [10.0 * value + 10] * 2


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('rates', (), '0 rates'),
    ('rates', (1.0,), '1 rates and 2 generator_rates are no pairs'),
    ('rates', (1.0, -1.0), 'rate -1.0 is not positive'),
    ('generator_rates', (0.0, 1.0), 'rate 0.0 is not positive'),
    ('copied', 1.5, 'copied 1.5'),
  ],
)
def test_bad_settings_of_the_tuning_are_refused(field, value, match):
  given = {'rates': (1.0, 2.0), 'generator_rates': (1.0, 1.0), field: value}
  with pytest.raises(ValueError, match=match):
    tuning.Tuning(**given)
