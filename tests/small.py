"""Small games and generators that several tests play with."""

import jax
import jax.numpy as jnp

from coalesce_jax import driver
from coalesce_jax import game
from coalesce_jax import generators
from coalesce_jax import sources

OPTIONS = generators.freeze({'hidden': (16,)})
VECTORS = generators.Spec('mlp', 2, (2,), OPTIONS, 'mlp', OPTIONS)
WIDTH = generators.freeze({'width': 4})
IMAGES = generators.Spec('dcgan', 4, (8, 8, 1), WIDTH, 'dcgan', WIDTH)


def schedule(steps=6, chunk=3, **settings):
  """A schedule of a few steps."""
  return driver.Schedule(steps=steps, chunk=chunk, **settings)


def config(**settings):
  """Settings of a game that compiles fast."""
  return game.Config(**{'batch_size': 8, 'critic_steps': 2} | settings)


def generator(seed=0, spec=VECTORS, critic=True):
  """A generator of random parameters."""
  key = jax.random.key(seed)
  return generators.create(
    spec,
    spec.build().init(key),
    spec.build_critic().init(key) if critic else None,
  )


def made(settings, spec=VECTORS, count=2, term=None):
  """A game, a state, inputs of `count` sources, a key."""
  played = game.make(
    settings,
    generator=spec.build(),
    critic=spec.build_critic(),
    latent_size=spec.latent_size,
    term=term,
  )
  key = jax.random.key(0)
  critics = jax.vmap(spec.build_critic().init)(jax.random.split(key, count))
  state = played.init(spec.build().init(key), critics)
  parts = tuple(
    sources.array(k + jax.random.normal(key, (40, *spec.image_shape)))
    for k in range(count)
  )
  # Compiled: step by step, every operation would be compiled alone.
  played = played._replace(step=jax.jit(played.step))
  return played, state, game.inputs(parts), key


def images(n=20, seed=0, shape=(8, 8, 1)):
  """Random uint8 images."""
  return jax.random.randint(jax.random.key(seed), (n, *shape), 0, 256).astype(
    jnp.uint8
  )
