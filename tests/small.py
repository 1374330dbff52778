"""Small games and generators that several tests play with."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.gan import game
from coalesce_jax.gan import refined_source
from coalesce_jax.gan import sources
from coalesce_jax.methods import mixture
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary

OPTIONS = generator_lib.freeze({'hidden': (16,)})
VECTORS = generator_lib.Spec('mlp', 2, (2,), OPTIONS, 'mlp', OPTIONS)
WIDTH = generator_lib.freeze({'width': 4})
IMAGES = generator_lib.Spec('dcgan', 4, (8, 8, 1), WIDTH, 'dcgan', WIDTH)
# Images of the same shape by networks that compile in a fraction of the time.
PIXELS = generator_lib.Spec('mlp', 4, (8, 8, 1), OPTIONS, 'mlp', OPTIONS)


def schedule(steps=6, chunk=3, **settings):
  """A schedule of a few steps."""
  return loop.Schedule(steps=steps, chunk=chunk, **settings)


def config(**settings):
  """Settings of a game that compiles fast."""
  return game.Config(**{'batch_size': 8, 'critic_steps': 2} | settings)


def pipeline(config):
  """Shortens a configuration of the pipeline in place: it compiles fast.

  Whoever uses it shares the programs of its stages.
  """
  with config.unlocked():
    config.network.options = {'hidden': (8,), 'output': 'tanh'}
  config.network.name = config.network.critic = 'mlp'
  config.network.critic_options.mlp.hidden = (8,)
  for stage in ('pretrain', 'barycenter', 'adapt', 'ternary'):
    config[stage].steps, config[stage].chunk = 8, 4
  config.adapt.observe_every, config.adapt.augment = 4, ''
  config.barycenter.warmup = config.adapt.warmup = config.ternary.warmup = 2
  config.evaluate.samples = config.evaluate.curve_samples = 60
  config.game.learning_rate = 2e-3
  config.save_seconds = 0.0
  config.seeds, config.local_samples = 2, 20


def generator(seed=0, spec=VECTORS, critic=True):
  """A generator of random parameters."""
  key = jax.random.key(seed)
  network, other = _starts(spec)
  return generator_lib.create(
    spec, network(key), other(key) if critic else None
  )


@functools.cache
def _starts(spec):
  """Starts of both networks, compiled: operations alone take far longer."""
  critic = spec.build_critic().init if spec.critic else None
  return jax.jit(spec.build().init), critic and jax.jit(critic)


def inputs(parts, spec=VECTORS, **settings):
  """Inputs of a game with normal latents."""
  return game.inputs(parts, prior=sources.normal(spec.latent_size), **settings)


def made(settings, spec=VECTORS, count=2, critics=None, **more):
  """A task of a game, a state, inputs of `count` sources, a key."""
  size = count if critics is None else critics
  played = game.make(
    settings, generator=spec.build(), critic=spec.build_critic(), **more
  ).task
  key = jax.random.key(0)
  network, critic = _starts(spec)
  critics = jax.vmap(critic)(jax.random.split(key, size))
  parts = tuple(
    sources.array(k + jax.random.normal(key, (40, *spec.image_shape)))
    for k in range(count)
  )
  given = inputs(parts, spec)
  state = jax.jit(played.init)(key, network(key), critics, given)
  # Compiled: step by step, every operation would be compiled alone.
  return played._replace(step=jax.jit(played.step)), state, given, key


def images(n=20, seed=0, shape=(8, 8, 1)):
  """Random uint8 images."""
  return jax.random.randint(jax.random.key(seed), (n, *shape), 0, 256).astype(
    jnp.uint8
  )


def drawn(spec, seed=0):
  """A generator without a critic, drawn by NumPy: nothing is compiled.

  No bias is zero, no scale one.
  """
  rng = np.random.default_rng(seed)
  shapes = jax.eval_shape(spec.build().init, jax.random.key(0))

  def draw(name, leaf):
    value = rng.standard_normal(leaf.shape, np.float32)
    if len(leaf.shape) > 1:
      return value * np.float32(3.0 / np.sqrt(np.prod(leaf.shape[:-1])))
    return np.float32(0.2) * value + np.float32(name.endswith('scale'))

  return generator_lib.create(spec, trees.map_named(draw, shapes))


def coded(generator, granularity, sides, leaves=('.*/kernel',)):
  """A ternary generator by NumPy, with one scale or two (for each sign)."""
  described = ternary.describe(
    generator.params, scheme='ttq' if sides == 2 else 'twn',
    granularity=granularity, leaves=leaves,
  )  # fmt: skip

  def code(name, w):
    if name not in described['leaves']:
      return w
    axes = tuple(range(w.ndim - (granularity == 'channel')))
    scale = np.abs(w).mean(axes)
    low = scale * np.float32(1.0 if sides == 1 else 1.5)
    return np.where(w > scale / 2, scale, np.where(w < -scale / 2, -low, 0.0))

  return generator._replace(
    params=trees.map_named(code, generator.params),
    spec=dataclasses.replace(generator.spec, encodings={'ternary': described}),
  )


def mixed(spec, steps=0):
  """A mixture of two generators, moved by critics if there are steps."""
  refine = refined_source.Config(steps=steps) if steps else None
  nodes = []
  for k in range(2):
    rng = np.random.default_rng(k)
    critic = jax.tree.map(
      lambda leaf, rng=rng: 0.3 * rng.standard_normal(leaf.shape, np.float32),
      jax.eval_shape(spec.build_critic().init, jax.random.key(0)),
    )
    nodes.append(drawn(spec, k)._replace(critic=critic))
  return mixture.mixture(nodes, refine=refine)


def ternarized(generator, scheme, granularity, leaves=('.*/kernel',)):
  """A ternary generator by the transform, its thresholds where they start."""
  settings = {'scheme': scheme, 'granularity': granularity, 'leaves': leaves}
  reparam = ternary.ternary(**settings)
  params = jax.jit(base.start, static_argnums=0)(
    reparam, jax.random.key(0), generator.params
  )
  described = ternary.describe(params, **settings)
  spec = dataclasses.replace(generator.spec, encodings={'ternary': described})
  return generator._replace(params=params, spec=spec)
