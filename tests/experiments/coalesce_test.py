"""The configurations of the pipeline, which `coalesce run` reads as files."""

import importlib

import pytest

from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import stages

SHAPES = {
  'digits': (8, 8, 1),
  'mnist': (28, 28, 1),
  'fashion_mnist': (28, 28, 1),
  'cifar10': (32, 32, 3),
}


@pytest.mark.parametrize('name', SHAPES)
@pytest.mark.parametrize('variant', ['', 'quick'])
def test_every_configuration_is_valid(name, variant):
  module = importlib.import_module(f'experiments.coalesce.configs.{name}')
  config = module.get_config(variant)
  config_lib.validate(config)
  assert stages.selected(config) == list(stages.TABLE.values())
  assert config_lib.spec(config, SHAPES[name]).image_shape == SHAPES[name]
  with pytest.raises(ValueError, match="variant 'slow'"):
    module.get_config('slow')
