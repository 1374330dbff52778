"""The flat values of a run over real nodes."""

import pytest

from coalesce_jax.pipeline import federated_defaults
from coalesce_jax.pipeline import node_settings

DEFAULTS = federated_defaults.get_config()


def test_a_configuration_comes_back_from_its_text():
  config = federated_defaults.get_config()
  config.rounds, config.meta.rho, config.classes = 7, 0.25, (2, 4)
  run = {'settings': node_settings.dumps(config)}
  found = node_settings.config(run, DEFAULTS)
  assert found.to_dict() == config.to_dict()
  assert found.classes == (2, 4) and DEFAULTS.rounds != 7


@pytest.mark.parametrize(
  'run',
  [{}, {'settings': 3}, {'settings': '['}, {'settings': '[1]'},
   {'settings': '{"rounds": "many"}'}],
  ids=['none', 'number', 'damaged', 'list', 'type'],
)  # fmt: skip
def test_a_text_that_is_no_configuration_is_refused(run):
  with pytest.raises(ValueError, match='the settings of the run: ') as error:
    node_settings.config(run, DEFAULTS)
  assert '\n' not in str(error.value)


def test_shapes_of_images_are_three_sizes():
  run = {'image-shape': node_settings.shown((28, 20, 3))}
  assert node_settings.image_shape(run) == (28, 20, 3)
  for text in ('28,28', '0,28,1', 'a,b,c', ''):
    with pytest.raises(ValueError, match='is not H,W,C'):
      node_settings.image_shape({'image-shape': text})


def test_a_node_is_one_of_those_there_are():
  assert node_settings.position({'partition-id': 3}, 4) == 3
  assert node_settings.position({}, 4) == -1
  for wrong in (4, -2, True, '1'):
    with pytest.raises(ValueError, match='is not in 0 to 3'):
      node_settings.position({'partition-id': wrong}, 4)
