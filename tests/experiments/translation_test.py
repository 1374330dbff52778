"""Image translation: the plan, and the tables of its results."""

import importlib

import pytest

from experiments.translation import train
from experiments.translation.configs import default


@pytest.mark.parametrize('variant', ['', 'quick'])
def test_settings_of_all_trials_are_valid(variant):
  config = default.get_config(variant)
  train.validate(config)
  config.only = ('outline_pix2pix',)
  made = train.configured(config.runs.outline_pix2pix, config.side)
  assert made.networks.downs == (6 if not variant else 4)
  assert made.schedule.select_every == (100 if not variant else 100)
  config.only = ('nothing',)
  with pytest.raises(ValueError, match="run 'nothing' is not one of"):
    train.validate(config)


def test_tables_have_controls_methods_and_the_floor():
  results = {
    'controls-t': {
      'task': 't', 'train': 9, 'held_out': 3, 'attribution': 'By X.',
      'scores': {
        'copy': {
          'l1': 0.5, 'frechet': 50.0, 'real': 2.0, 'frechet_random': 3.0,
          'real_random': 0.25,
        },
      },
    },
    'a': {
      'task': 't', 'method': 'pix2pix', 'steps': 7, 'parameters': 3,
      'scores': {
        'l1': [0.1, 0.3], 'frechet': [20.0, 22.0], 'real': [2.0, 2.0],
        'frechet_random': [1.0, 1.5], 'real_random': [0.25, 0.25],
      },
    },
  }  # fmt: skip
  made = train.report(default.get_config(), results)
  assert made.text == (
    't: 9 for training, 3 held out. By X.\n'
    '\n'
    '| | l1 | frechet | frechet_random |\n'
    '|---|---:|---:|---:|\n'
    '| control: copy | 0.500 | 50.0 | 3.000 |\n'
    '| a (pix2pix, 7 steps) | 0.200 ± 0.141 | 21.0 ± 1.4 | 1.250 ± 0.354 |\n'
    '| real |  | 2.000 | 0.250 |\n'
  )
  assert made.line == {'l1': {'a': pytest.approx(0.2)}}


def test_the_command_line_imports_without_running():
  main = importlib.import_module('experiments.translation.main')
  assert main.EXPERIMENT.name == 'translation'
