"""Settings of the stages, read from the configuration of the pipeline."""

import ml_collections
import numpy as np
import pytest

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults


def settings(**changes):
  config = defaults.get_config()
  defaults.shorten(config, 'quick')
  return config_lib.override(config, changes)


def test_adaptation_and_transfer_have_rates_of_their_own():
  config = settings(
    **{'adapt.rate': 0.3, 'transfer.rate': 0.2, 'transfer.freeze': ('a/.*',)}
  )
  stages = config_lib.adapted, config_lib.transfer, config_lib.adapt
  assert [stage(config).rate for stage in stages] == [0.3, 0.2, 1.0]
  frozen = [stage(config).game.freeze for stage in stages]
  assert frozen == [(), ('a/.*',), ()]


@pytest.mark.parametrize(
  'field,value,match',
  [
    ('adapt.rate', 0.0, 'adapt.rate 0.0 is not positive'),
    ('transfer.rate', 0.0, 'transfer.rate 0.0 is not positive'),
    ('game.critic_learning_rate', -0.02, 'critic_learning_rate -0.02'),
    ('adapt.anchor', 1.0, 'anchor 1.0'),
    ('local_samples', 7, 'local_samples 7 is below 8'),
    ('seeds', 0, 'seeds 0 is below 1'),
    ('evaluate.samples', 0, 'evaluate.samples=0'),
    ('evaluate.curve_samples', 5, 'evaluate.curve_samples=5'),
    ('split', '0-4', 'split'),
    ('pretrain.steps', 0, 'steps 0'),
    ('barycenter.fixed_samples', -1, 'fixed_samples -1'),
    ('ternary.scheme', 'magic', 'magic'),
    ('game.learning_rate', float('inf'), 'learning_rate inf is not finite'),
    ('adapt.rate', float('inf'), 'adapt.rate inf'),
    ('evaluate.samples', 3, 'evaluate.samples=3 is not'),
    ('evaluate.curve_samples', 0, 'evaluate.curve_samples=0'),
    ('seed', 2**32, 'seed 4294967296 is not in'),
    ('seed', -1, 'seed -1 is not in'),
    ('transfer.freeze', ('(',), r"freeze: '\(' is no regular expression"),
    ('ternary.leaves', ('*',), r"leaves: '\*' is no regular expression"),
  ],
)
def test_bad_settings_are_refused_with_their_field(field, value, match):
  with pytest.raises(ValueError, match=match):
    config_lib.validate(settings(**{field: value}))


@pytest.mark.parametrize('name', ['cones', 'envelopes', 'groupsort', 'mlp'])
def test_critics_are_selected_by_name_with_options_of_their_own(name):
  config = settings(**{'network.critic': name})
  spec = config_lib.spec(config, (8, 8, 1))
  assert (spec.network, spec.critic) == ('dcgan', name)
  options = config.network.critic_options[name].to_dict()
  assert dict(spec.critic_options) == options


def test_a_file_may_give_the_generator_other_options_than_a_width():
  options = {'hidden': (16,), 'output': 'tanh'}
  config = settings(**{'network.name': 'mlp', 'network.options': options})
  spec = config_lib.spec(config, (8, 8, 1))
  assert (spec.network, dict(spec.options)) == ('mlp', options)
  with pytest.raises(ValueError, match='width'):
    config_lib.spec(settings(**{'network.name': 'mlp'}), (8, 8, 1))


@pytest.mark.parametrize('field', ['transfer.freeze', 'ternary.leaves'])
def test_a_pattern_that_matches_nothing_is_refused_before_training(field):
  config = settings(**{field: ('nothing/.*',)})
  with pytest.raises(ValueError, match=r"nothing/\.\*'.* match\w* none of"):
    config_lib.spec(config, (8, 8, 1))
  # What is not run needs no leaves.
  config.methods = ('barycenter',)
  config_lib.spec(config, (8, 8, 1))


def test_an_unknown_critic_is_refused():
  with pytest.raises(ValueError, match='magic'):
    config_lib.spec(settings(**{'network.critic': 'magic'}), (8, 8, 1))


def test_critics_learn_at_the_rate_of_the_generator_unless_told_another():
  assert config_lib.pretrain(settings()).game.critic_learning_rate is None
  config = settings(**{'game.critic_learning_rate': 0.02})
  assert config_lib.adapt(config).game.critic_learning_rate == 0.02


def test_rates_fall_to_zero_over_the_steps_of_a_stage_only_where_asked():
  config = settings(**{'pretrain.steps': 7, 'barycenter.decay': False})
  made = config_lib.pretrain(config)
  assert made.decay and made.schedule.steps == 7
  assert not config_lib.barycenter(config).decay
  assert not config_lib.adapted(config).decay
  falling = settings(**{'adapt.decay': True})
  assert config_lib.adapted(falling).decay
  assert not config_lib.adapt(falling).decay


def test_the_long_ensemble_has_the_steps_of_barycenter_and_adaptation():
  config = settings(**{'barycenter.steps': 90, 'adapt.steps': 60})
  made = config_lib.ensemble_long(config)
  assert made.schedule.steps == 150 and made.decay
  assert made.game == config_lib.adapt(config).game


def test_an_override_leaves_the_original_and_adds_what_is_new():
  config = settings()
  changed = config_lib.override(
    config, {'adapt.anchor': 0.75, 'new': {'field': 3}}
  )
  assert (changed.adapt.anchor, changed.new.field) == (0.75, 3)
  assert config.adapt.anchor == 0.5 and 'new' not in config
  # What is not changed is a copy too.
  changed.game.ema = 0.5
  assert config.game.ema == 0.995


def test_another_variant_is_refused():
  with pytest.raises(ValueError, match="variant 'slow'"):
    defaults.shorten(defaults.get_config(), 'slow')


@pytest.mark.parametrize(
  ('field', 'value', 'match'),
  [
    ('seeds', None, 'field seeds of the configuration: None is not a whole'),
    ('seeds', True, 'field seeds of the configuration: True is not a whole'),
    ('adapt.rate', 'high', "field adapt.rate .*: 'high' is not a number"),
    ('barycenter.decay', 1, 'field barycenter.decay .*: 1 is not true or'),
    ('dataset', 3, 'field dataset .*: 3 is not a text'),
    ('methods', 'adapted', "field methods .*: 'adapted' is not a tuple"),
    ('adapt', 3, 'field adapt of the configuration: 3 is no ConfigDict'),
    ('extra', object(), 'field extra .* is not made of numbers, texts'),
  ],
)
def test_a_field_of_another_type_is_refused(field, value, match):
  flat = settings().to_dict()
  *sections, name = field.split('.')
  inner = flat
  for section in sections:
    inner = inner[section]
  inner[name] = value
  with pytest.raises(ValueError, match=match):
    config_lib.validate(ml_collections.ConfigDict(flat))


def test_options_of_a_network_are_a_section():
  config = settings()
  with config.unlocked():
    config.network.options = 3
  with pytest.raises(ValueError, match=r'field network\.options .*: 3 is no'):
    config_lib.validate(config)


def test_a_missing_field_is_named_and_one_more_is_not_minded():
  flat = settings().to_dict()
  del flat['adapt']['anchor']
  with pytest.raises(ValueError, match=r'no field adapt\.anchor'):
    config_lib.validate(ml_collections.ConfigDict(flat))
  flat['adapt'] = settings().adapt.to_dict() | {'rate': 1}
  flat['mine'] = {'number': np.float32(2.5), 'names': ['a', None]}
  assert config_lib.validate(ml_collections.ConfigDict(flat))['mine']
