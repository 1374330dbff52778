"""Whether ours and the peer compute the same, before they are timed.

Both start from the same parameters and read the same random numbers for whole
steps of the game; the losses of the last critic update are compared.

Shapes: B batch, Z latent.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.gan import game as game_lib
from coalesce_jax.gan import sources
from coalesce_jax.translation import settings
from coalesce_jax.translation import training
from experiments.speed import peer
from experiments.speed import programs
from experiments.speed import shapes
from experiments.speed import torch_arrays
from experiments.speed import translator_steps


def compare(
  network: shapes.Network,
  config: game_lib.Config,
  images: np.ndarray,
  seed: int,
  steps: int = 1,
  **options: Any,
) -> dict[str, float]:
  """Losses of both after `steps` steps, and their largest difference.

  Args:
    network: sizes.
    config: of the game.
    images: `[N, H, W, C]`, read by both.
    seed: of parameters and random numbers.
    steps: of the game.
    **options: of the peer.

  Returns:
    `gap` and `penalty` of the last critic update, ours and the peer's, and
    `difference`, the larger one, relative to `max(1, |ours|)`.
  """
  program = programs.pretraining(network, config, images, seed)
  trainer = trainer_of(network, config, program, **options)
  state = program.state
  for i in range(steps):
    batches, z = _draws(network, config, images, program.key, i)
    trainer.step(batches, z)
    state, metrics, _ = program.chunk(state, program.inputs, program.key, 1)
  gap, penalty, _ = (float(x) for x in trainer.losses)
  ours = float(metrics['train_gap'][0]), float(metrics['penalty'][0])
  difference = max(
    abs(a - b) / max(1.0, abs(a))
    for a, b in zip(ours, (gap, penalty), strict=True)
  )
  return {
    'gap': ours[0], 'peer_gap': gap, 'penalty': ours[1],
    'peer_penalty': penalty, 'difference': difference,
  }  # fmt: skip


def trainer_of(
  network: shapes.Network,
  config: game_lib.Config,
  program: programs.Program,
  **options: Any,
) -> peer.Trainer:
  """The peer at the start of a program."""
  critic = jax.tree.map(lambda x: x[0], program.state.critics)
  return peer.Trainer(
    network,
    program.state.generator,
    critic,
    learning_rate=config.learning_rate,
    beta1=config.beta1,
    beta2=config.beta2,
    device=torch_arrays.device(),
    **options,
  )


def compare_translators(
  method: str,
  config: settings.Translation,
  images: training.Data,
  program: programs.Program,
  steps: int = 3,
  **options: Any,
) -> dict[str, Any]:
  """Losses of both in each of the first steps, and their largest difference.

  All images of a domain are the same, so that every draw is the same on both
  sides. A pool of fakes that is not full shows the new ones.

  Args:
    method: one of `programs.TRANSLATIONS`.
    config: settings of the method, without mirrored images.
    images: of both domains.
    program: ours, with these images.
    steps: of the game, in which the learning rate is constant.
    **options: of the peer.

  Returns:
    `ours` and `peer`, what the last step says by the name of our metric, and
    `difference`, the largest of any step, relative to `max(1, |ours|)`.

  Raises:
    ValueError: images differ or are mirrored, or there are too many steps.
  """
  game, pool = config.game(), getattr(config, 'pool_size', 0)
  if config.flip or any(np.any(x != x[:1]) for x in images[:2]):
    raise ValueError('images are mirrored or differ, and so would the draws')
  if pool and steps * config.batch_size > pool:
    raise ValueError(f'{steps} steps fill the pool of {pool} fakes')
  if game.decay_steps and steps > game.constant_steps:
    raise ValueError(f'the learning rate falls within {steps} steps')
  trainer = translator_steps.TRAINERS[method](
    config, program.state, device=torch_arrays.device(), **options
  )
  a, b = (torch_arrays.images(x, torch_arrays.device()) for x in images[:2])
  state, differences = program.state, []
  for _ in range(steps):
    trainer.step(
      *translator_steps.draw(a, b, config.batch_size, method == 'pix2pix')
    )
    state, metrics, _ = program.chunk(state, program.inputs, program.key, 1)
    theirs = {k: [float(x) for x in v] for k, v in trainer.losses.items()}
    ours = {k: np.ravel(metrics[k]).tolist() for k in theirs}
    differences += [
      abs(x - y) / max(1.0, abs(x))
      for name in ours
      for x, y in zip(ours[name], theirs[name], strict=True)
    ]
  return {
    'ours': ours, 'peer': theirs, 'difference': float(np.max(differences)),
  }  # fmt: skip


def _draws(
  network: shapes.Network,
  config: game_lib.Config,
  images: np.ndarray,
  key: jax.Array,
  step: int,
) -> tuple[list[peer.Batch], Any]:
  """The random numbers of `game.step`, drawn again as it draws them."""
  repeats, batch = config.critic_steps, config.batch_size
  key = jax.random.fold_in(key, step)
  key_z, key_real, _, key_critic, _ = jax.random.split(key, 5)
  z = jax.random.normal(key_z, (repeats + 1, batch, network.latent_size))
  real = sources.draw(
    (sources.array(jnp.asarray(images)),), key_real, repeats * batch
  )[0]
  real = real.reshape(repeats, batch, *real.shape[1:])
  device = torch_arrays.device()
  latents = peer.torch.from_numpy(np.array(z)).to(device)
  batches = []
  for i, key_update in enumerate(jax.random.split(key_critic, repeats)):
    (key_one,) = jax.random.split(key_update, 1)
    key_points = jax.random.split(key_one, 3)[2]
    t = jax.random.uniform(key_points, (batch, 1, 1, 1))
    t = peer.torch.from_numpy(np.array(t)).to(device)
    batches.append((torch_arrays.images(real[i], device), latents[i], t))
  return batches, latents[repeats]
