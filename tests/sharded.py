"""Run by sharding_test.py as processes of their own: a game, spread and not."""

import json
import sys

import jax
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import pretraining
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import loop
from tests import small


def made(members, critics, batch):
  """A game of K generators as sources, its start, inputs and keys."""
  spec = small.IMAGES
  network, critic = spec.build(), spec.build_critic()
  game = game_lib.make(
    small.config(batch_size=batch, ema=0.5),
    generator=network,
    critic=critic,
  ).task

  def start(key):
    key_start, key_nodes, key_critics, key_run = jax.random.split(key, 4)
    nodes = jax.vmap(network.init)(jax.random.split(key_nodes, critics))
    many = jax.vmap(critic.init)(jax.random.split(key_critics, critics))
    inputs = game_lib.inputs(
      (sources.generators(network, nodes, spec.latent_size),),
      prior=sources.normal(spec.latent_size),
    )
    state = game.init(key_start, network.init(key_start), many, inputs)
    return state, inputs, key_run

  key = jax.random.key(0)
  if members:
    start, key = jax.vmap(start), jax.random.split(key, members)
  return game, *jax.jit(start)(key)


def stages():
  """Two stages on one device and spread over all, and where they end."""
  data = [small.images(seed=i) for i in range(3)]
  key = jax.random.key(0)

  def both():
    nodes, history = pretraining.pretrain(
      key,
      data,
      small.IMAGES,
      config=pretraining.Config(small.config(), small.schedule()),
    )
    meta, _ = barycenter.barycenter(
      key,
      nodes,
      config=barycenter.Config(small.config(), small.schedule()),
    )
    return nodes[-1].params, meta.params, history['w1']

  alone = both()
  with mesh_lib.use(jax.devices()):
    spread = both()
  difference = max(
    float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
    for a, b in zip(
      jax.tree.leaves(alone), jax.tree.leaves(spread), strict=True
    )
  )
  devices = [len(jax.tree.leaves(tree)[0].devices()) for tree in spread[:2]]
  print(json.dumps({'devices': devices, 'difference': difference}))


def main(address, members, critics, batch, index='0'):
  if address != 'one':
    mesh_lib.start(address, 2, int(index))
  members, critics, batch = int(members), int(critics), int(batch)
  game, state, inputs, key = made(members, critics, batch)
  schedule = loop.Schedule(steps=4, chunk=2)
  alone = loop.drive(game, state, inputs, key, schedule)
  mesh = mesh_lib.mesh(max(members, 1), critics, batch)
  with mesh_lib.use(mesh):
    spread = loop.drive(game, state, inputs, key, schedule)
  whole = jax.jit(lambda x: x, out_shardings=mesh_lib.everywhere(mesh))
  difference = max(
    float(np.max(np.abs(np.asarray(a) - np.asarray(whole(b)))))
    for a, b in zip(
      jax.tree.leaves(alone.state), jax.tree.leaves(spread.state), strict=True
    )
  )
  # Relative: a position is a quotient of estimates that may be near zero.
  history = max(
    float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1.0)))
    for a, b in ((alone.history[k], spread.history[k]) for k in alone.history)
  )
  of_members, of_critics, _ = mesh.devices.shape
  leaves = {}
  for part, parts in (
    ('generator', of_members),
    ('critics', of_members * of_critics),
  ):
    for name, leaf in trees.flatten(getattr(spread.state, part)).items():
      shard = leaf.addressable_shards[0].data
      leaves[f'{part}/{name}'] = (leaf.size, shard.size, parts)
  print(
    json.dumps(
      {
        'devices': jax.device_count(),
        'mesh': list(mesh.devices.shape),
        'difference': difference,
        'history': history,
        'leaves': leaves,
      }
    )
  )


if __name__ == '__main__':
  if sys.argv[1] == 'stages':
    stages()
  else:
    main(*sys.argv[1:])
