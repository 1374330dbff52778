"""Streams of tasks that compile fast."""

import jax
import numpy as np

from coalesce_jax.continual import image_tasks
from coalesce_jax.continual import latent_tasks
from coalesce_jax.methods import settings
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.translation import settings as translation_settings
from tests import small

KEY = jax.random.key(0)
SCHEDULE = loop.Schedule(2, 1, fast_compile=True)
# The second layer is the only one that is neither first nor last.
OPTIONS = generator_lib.freeze({'hidden': (4, 6), 'affine': False})
CRITIC = generator_lib.freeze({'hidden': (4,)})
POINTS = generator_lib.Spec('mlp', 5, (2,), OPTIONS, 'mlp', CRITIC)
PAIRED = translation_settings.Pix2pix(
  translation_settings.Networks(
    ngf=2, downs=2, ndf=2, n_layers_d=1, norm='none'
  ),
  SCHEDULE, batch_size=2, flip=False, gan_mode='lsgan',
)  # fmt: skip


def points(count=3, schedule=SCHEDULE, coded=True, **game):
  """Tasks of points about different means, each with a code."""
  config = settings.Pretraining(
    small.config(critic_steps=1, adversarial='lsgan', **game), schedule
  )
  rng = np.random.default_rng(0)
  return [
    latent_tasks.latents(
      f'points-{t}',
      (t + rng.normal(size=(20, 2))).astype(np.float32),
      POINTS,
      config,
      (t, 3) if coded else None,
    )
    for t in range(count)
  ]


def pairs(count=2, config=PAIRED):
  """Tasks of image pairs: targets are the conditions or their negatives."""
  rng = np.random.default_rng(0)
  found = []
  for t in range(count):
    x = rng.uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)
    given = {'condition': x, 'target': (-1.0) ** t * x}
    found.append(image_tasks.translation(f'pairs-{t}', given, config))
  return found
