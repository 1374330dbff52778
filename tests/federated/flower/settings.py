"""Configurations of runs over nodes that compile fast, of digits."""

from coalesce_jax.pipeline import defaults
from coalesce_jax.pipeline import federated_defaults


def metagater(nodes=4, rounds=3):
  """Rounds of so many nodes with two classes of digits each."""
  config = federated_defaults.get_config()
  config.update(
    nodes=nodes + 1, validation_nodes=0, test_nodes=1, classes=(2, 2), ways=2,
    shots=2, queries=2, images=20, network='resnet', width=4, per_group=2,
    blocks=1, gates='none', rounds=rounds, chunk=1, select_every=0, tasks=2,
    fast_compile=True,
  )  # fmt: skip
  # What Adam does to the rounding of a gradient near 0 is not compared.
  config.meta.update(
    order='backbone', second_order=False, nodes=nodes, server='average',
    local_steps=2,
  )  # fmt: skip
  return config


def coalescence():
  """Three nodes with one digit each, of plain networks and few steps."""
  config = defaults.get_config()
  config.split = '0|1|2->0-2'
  config.methods = ('barycenter',)
  config.fast_compile = True
  config.network.update(name='mlp', critic='mlp', latent_size=4)
  with config.unlocked():
    config.network.options = {'hidden': (8,), 'output': 'tanh'}
  config.network.critic_options.mlp.hidden = (8,)
  config.game.update(batch_size=8, critic_steps=1)
  for name in ('pretrain', 'barycenter'):
    config[name].update(steps=2, chunk=1)
  config.barycenter.warmup = 0
  return config
