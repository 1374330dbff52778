"""A ready plan: which trials there are, in which order, and their rows."""

import ml_collections
import pytest

from coalesce_jax.pipeline import defaults
from coalesce_jax.trials import comparison
from coalesce_jax.trials import trials


def settings(*methods):
  return ml_collections.ConfigDict(
    {
      'methods': methods, 'anchors': (0.25, 0.75), 'radii': (0.5,),
      'budget': {'steps': 4, 'chunk': 2, 'look_every': 2},
      'shared': defaults.get_config(),
    }
  )  # fmt: skip


def test_nodes_come_first_and_who_goes_on_from_others_is_in_their_task():
  config = settings('ours_ball', 'transfer', 'paper_code', 'ours')
  assert comparison.stages(config) == [
    [['start-nodes']],
    [['start-refined'], ['start-barycenter_paper']],
    [['test-transfer'], ['test-ours', 'test-ours_ball'], ['test-paper_code']],
  ]
  assert comparison.stages(settings('transfer')) == [
    [['start-nodes']], [['test-transfer']],
  ]  # fmt: skip


def test_the_plan_has_the_trials_of_the_stages(tmp_path):
  config = settings('ours', 'ours_ball')
  planned = comparison.plan(str(tmp_path), config, lambda: False)
  assert list(planned) == trials.names(comparison.stages(config))


def test_rows_are_of_every_variant():
  def result(*values):
    return {
      'rows': [{'value': v, 'scores': {'frechet': [v, v]}} for v in values]
    }

  results = {'test-ours': result(0.25, 0.75), 'test-transfer': result(0.0)}
  found = comparison.rows(settings('ours', 'transfer'), results)
  assert found == [
    {'method': 'transfer', 'label': 'transfer', 'value': None,
     'frechet': [0.0, 0.0]},
    {'method': 'ours', 'label': 'refined, anchor', 'value': 0.25,
     'frechet': [0.25, 0.25]},
    {'method': 'ours', 'label': 'refined, anchor', 'value': 0.75,
     'frechet': [0.75, 0.75]},
  ]  # fmt: skip


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('methods', ('magic',), "'magic' is not one of"),
    ('methods', ('ours_ball',), 'goes after'),
    ('budget.steps', 7, 'do not divide'),
    ('shared.local_samples', 7, 'below 8'),
  ],
)
def test_bad_settings_are_refused_before_anything_is_done(field, value, match):
  config = settings('transfer')
  config.update_from_flattened_dict({field: value})
  with pytest.raises(ValueError, match=match):
    comparison.validate(config)
