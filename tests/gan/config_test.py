"""Settings of a game: what is refused, what a decay changes."""

import dataclasses

import pytest

from coalesce_jax.gan import config


@pytest.mark.parametrize(
  'field,value',
  [
    ('objective', 'w2'),
    ('penalty', 'three_sided'),
    ('gp_norm', 'row'),
    ('batch_size', 0),
    ('critic_steps', 0),
    ('generator_batches', 0),
    ('beta1', 1.0),
    ('learning_rate', 0.0),
    ('critic_learning_rate', 0.0),
    ('learning_rate', float('nan')),
    ('learning_rate', float('inf')),
    ('critic_learning_rate', float('inf')),
    ('penalty_weight', float('nan')),
    ('epsilon', float('inf')),
    ('freeze', ('(',)),
    ('penalty_weight', -1.0),
    ('augment', 'blur'),
    ('precision', 'float8'),
  ],
)
def test_bad_settings_are_refused(field, value):
  with pytest.raises(ValueError, match='blur' if field == 'augment' else field):
    dataclasses.replace(config.Config(), **{field: value})


def test_pairs_need_fresh_samples():
  with pytest.raises(ValueError, match='reuse_batch'):
    config.Config(paired=True, reuse_batch=True)
  with pytest.raises(ValueError, match='not 1 and 3'):
    config.Config(shared_prior=True, critic_steps=3)
  with pytest.raises(ValueError, match='generator_batches'):
    config.Config(paired=True, generator_batches=2)


def test_only_the_ball_needs_radii():
  needs = {n: config.Config(objective=n).needs_radii for n in config.OBJECTIVES}
  assert needs == {'w1': False, 'w1_squared': False, 'ball': True}


def test_a_ball_needs_a_penalty():
  with pytest.raises(ValueError, match='ball_penalty'):
    config.Config(objective='ball', ball_penalty=0.0)


def test_unknown_losses_are_refused():
  with pytest.raises(ValueError, match="adversarial 'wgangp' is not one of"):
    config.Config(adversarial='wgangp')


def test_a_decay_lasts_as_long_as_the_run_and_changes_nothing_else():
  before = config.Config(batch_size=3, learning_rate=0.5)
  after = config.decaying(before, 70)
  changed = {
    field.name: getattr(after, field.name)
    for field in dataclasses.fields(before)
    if getattr(after, field.name) != getattr(before, field.name)
  }
  assert before.decay_steps == 0 and changed == {'decay_steps': 70}
