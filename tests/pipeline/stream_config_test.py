"""Configurations of streams are checked before data are read or trained on."""

import math

import pytest

from coalesce_jax.pipeline import stream_config
from coalesce_jax.pipeline import stream_defaults

PAIRS = ('one=a_folder', 'two=b_folder')


def config(learner, options, **fields):
  made = stream_defaults.get_config()
  made.learner, made.tasks = learner, PAIRS
  made.update(fields)
  with made.unlocked():
    made.options.update(options)
  return made


@pytest.mark.parametrize(
  ('learner', 'options', 'message'),
  [
    ('piggyback', {'share': 'a'}, "option share: 'a' is not a number"),
    ('piggyback', {'share': True}, 'option share: True is not a number'),
    ('piggyback', {'novelty': 0.5}, 'is not a lowest and a highest share'),
    ('piggyback', {'shares': [['.*', 'x']]}, 'is not a list of pairs'),
    ('piggyback', {'like': 'a'}, "option like: 'a' is not a whole number"),
    ('piggyback', {'like': 2}, 'like 2 is neither 0, the first task, nor'),
    ('piggyback', {'bank': 'random'}, "bank 'random' is a control"),
    ('ewc', {'weight': -1.0}, 'option weight: -1.0 is not at least 0'),
    ('ewc', {'weight': math.nan}, 'option weight: nan is not at least 0'),
    ('ewc', {'samples': 0}, 'option samples: 0 is not at least 1'),
    ('l2', {'weight': 'x'}, "option weight: 'x' is not a number"),
    ('distillation', {'weight': -5.0}, 'is not at least 0'),
    ('replay', {'samples': 2.5}, 'is not a whole number'),
    ('adapters', {'group': 0}, 'option group: 0 is not at least 1'),
    ('adapters', {'similar': 1}, 'is not true or false'),
    ('low_rank', {'rank': 'a'}, 'is not a whole number'),
    ('taps', {'leaves': '.*'}, "option leaves: '.*' is not a list"),
  ],
)
def test_options_that_no_learner_takes_are_named(learner, options, message):
  stream_config.validate(config(learner, {}))
  with pytest.raises(ValueError, match=message) as caught:
    stream_config.validate(config(learner, options))
  assert '\n' not in str(caught.value)


def test_lists_are_taken_as_tuples():
  stream_config.validate(config('taps', {'leaves': ['.*kernel']}))
  shares = [['.*conv.*', 0.5]]
  stream_config.validate(config('piggyback', {'shares': shares}))


@pytest.mark.parametrize(
  ('learner', 'options', 'message'),
  [
    ('ewc', {}, "'ewc' takes tasks of one network"),
    ('adapters', {}, "'adapters' takes tasks of one network"),
    ('adapters', {'similar': True}, 'takes tasks of one network'),
  ],
)
def test_what_is_not_of_two_networks_is_refused(learner, options, message):
  fields = {'tasks': ('one=edges:digits', 'two=colourise:digits')}
  stream_config.validate(config(learner, options, **fields))
  with pytest.raises(ValueError, match=message):
    stream_config.validate(
      config(learner, options, method='cyclegan', **fields)
    )


def test_what_compares_pairs_needs_some():
  with pytest.raises(ValueError, match='similar compares pairs'):
    stream_config.validate(config('adapters', {'similar': True}))
