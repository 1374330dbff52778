"""What every method of a comparison may spend."""

import numpy as np
import pytest

from coalesce_jax.pipeline import defaults
from coalesce_jax.trials import budget


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('steps', 0, 'steps 0'),
    ('look_every', 0, 'look_every 0'),
    ('look_every', 30, 'do not divide'),
    ('chunk', 40, 'do not divide'),
    ('warmup', 100, 'warmup 100'),
    ('generator_batches', 0, 'generator_batches 0'),
    ('held_out', 1.0, 'held_out 1.0'),
  ],
)
def test_bad_budgets_are_refused(field, value, match):
  given = {'steps': 100, 'chunk': 10, 'look_every': 50, field: value}
  with pytest.raises(ValueError, match=f'budget: .*{match}'):
    budget.Budget(**given)


def test_fine_tuning_has_the_steps_of_the_budget_and_rates_by_replica():
  made = budget.Budget(
    steps=100, chunk=10, warmup=3, generator_batches=4, held_out=0.2
  )
  config = defaults.get_config()
  config.game.critic_steps = 7
  found = made.fine_tuning(config, np.array([[1.0, 3.0], [0.3, 1.0]]))
  assert (found.schedule.steps, found.schedule.chunk) == (100, 10)
  assert found.schedule.observe_every == 50
  assert (found.warmup, found.held_out) == (3, 0.2)
  # The game of the pipeline, at rates that do not fall.
  assert (found.game.critic_steps, found.game.decay_steps) == (7, 0)
  assert found.game.generator_batches == 4
  np.testing.assert_allclose(found.rate, [1.0, 0.3])
  np.testing.assert_allclose(found.generator_rate, [3.0, 1.0])
