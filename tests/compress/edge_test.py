"""What cannot be made smaller is refused before anything is trained."""

import dataclasses

import jax
import numpy as np
import pytest

from coalesce_jax.compress import edge
from coalesce_jax.compress import macs
from coalesce_jax.compress import shrinking
from coalesce_jax.models import generator as generator_lib
from tests import small

IMAGES = np.zeros((10, 8, 8, 1), np.uint8)
SPEC = dataclasses.replace(
  small.IMAGES, network='dcgan', options=generator_lib.freeze({'width': 4})
)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'warmup': 7}, 'warmup is not read'),
    ({'mixed': True}, 'mixed is not read'),
    ({'radius': 0.5}, 'radius is not read'),
    ({'schedule': small.schedule(4, 2, select_every=2)}, 'no score to select'),
  ],
)
def test_settings_that_change_nothing_are_refused(changes, message):
  made = small.drawn(SPEC)
  config = dataclasses.replace(edge.default(SPEC), **changes)
  with pytest.raises(ValueError, match=message):
    edge.compress(jax.random.key(0), made, IMAGES, 0.5, config=config)


def test_methods_that_ask_the_critic_need_one():
  made = small.drawn(SPEC)._replace(critic=None)
  edge.check(made, 'magnitude', 0.5)
  for method in ('density', 'gcc'):
    with pytest.raises(ValueError, match='this generator has none'):
      edge.check(made, method, 0.5)
  other = dataclasses.replace(SPEC, critic='cones', critic_options=())
  bare = small.drawn(SPEC)._replace(spec=other, critic={})
  with pytest.raises(ValueError, match='no channels to mask'):
    edge.check(bare, 'gcc', 0.5)


@pytest.mark.slow
def test_a_generator_can_train_on_first():
  # Of two critics one is of the network that shrinks.
  config = dataclasses.replace(
    edge.default(small.PIXELS), schedule=small.schedule(2, 1)
  )
  config = dataclasses.replace(
    config, game=dataclasses.replace(config.game, batch_size=4, critic_steps=1)
  )
  made, histories = edge.compress(
    jax.random.key(0), small.generator(1, small.PIXELS), IMAGES, 0.5,
    method='magnitude', config=config,
    how=shrinking.Config(train_first=True),
  )  # fmt: skip
  assert set(histories) == {'first', 'recovery'}
  assert macs.total(made.spec) < 0.55 * macs.total(small.PIXELS)
