"""Tasks of generating samples from latents, by a Wasserstein GAN.

Shapes: N samples, Z latent, T tasks.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.continual import tasks
from coalesce_jax.core import types
from coalesce_jax.data import pixels
from coalesce_jax.gan import sources
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import runner
from coalesce_jax.metrics import energy
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.parallel import batch_shards

# Samples of an evaluation.
_SAMPLES = 512


def latents(
  name: str,
  images: Any,
  spec: generator_lib.Spec,
  config: pretraining.Config | None = None,
  code: tuple[int, int] | None = None,
) -> tasks.Task:
  """Returns the task of generating samples from latents by a Wasserstein GAN.

  Its main score is the energy distance to held-out samples.

  Args:
    name: name of the task.
    images: samples, `[N, ...]`, uint8 or in [-1, 1].
    spec: architecture of generator and critic.
    config: settings; None is `pretraining.Config()`.
    code: (t, T). The last T of the Z latents are then a code of the task: 1 at
      t, 0 elsewhere. One network can so tell tasks apart.

  Raises:
    ValueError: see `pretraining.pretrain` and `tasks.named`; the code does not
      fit.
  """
  config = pretraining.Config() if config is None else config
  alone = pretraining.problem(images, spec, config)
  prior = coded_normal(spec.latent_size, code)

  def setup(key: types.PRNGKey, hyper: Any, *args: Any) -> runner.Setup:
    ready: runner.Setup = alone.setup(key, hyper, *args)
    return ready._replace(prior=prior)

  problem, args = alone._replace(setup=setup), alone.args
  spec = dataclasses.replace(spec, critic=None, critic_options=())

  def replayed(
    network: types.Network,
    params: types.Params,
    key: types.PRNGKey,
    kept: Any,
    n: int,
  ) -> tuple[Any, ...]:
    held = max(1, round(n * config.held_out))
    made = network.apply(params, sources.draw_one(prior, key, n + held))
    return made[:n], made[n:], jnp.array([n, held], jnp.int32)

  def auxiliary(z: jax.Array, t: int) -> Sequence[jax.Array]:
    if code is None:
      return (z,) if t else ()
    ones = [jnp.zeros(code[1]).at[k].set(1.0)[None] for k in range(t)]
    return [
      jnp.concatenate([
        z[:, : -code[1]], jnp.broadcast_to(one, (len(z), code[1]))
      ], 1)
      for one in ones
    ]  # fmt: skip

  return tasks.Task(
    tasks.named(name),
    spec,
    spec.build(),
    problem,
    evaluate=_energy,
    held_out=(args[1], args[2][1], prior),
    kept=lambda n: (),
    replayed=replayed,
    auxiliary=auxiliary,
  )


def _energy(
  network: types.Network, params: types.Params, held_out: Any
) -> dict[str, jax.Array]:
  real, size, prior = held_out
  z = sources.draw_one(prior, jax.random.key(0), _SAMPLES)
  rows = jnp.arange(_SAMPLES) % size
  made = network.apply(params, z)
  return {'energy': energy.energy_distance(pixels.decode(real[rows]), made)}


def coded_normal(
  latent_size: int, code: tuple[int, int] | None
) -> sources.Source:
  """Returns a source of normal latents that end in the code of a task.

  Args:
    latent_size: Z, with the code.
    code: (t, T), or None for latents without a code.

  Raises:
    ValueError: the code does not fit.
  """
  if code is None:
    return sources.normal(latent_size)
  t, count = code
  if not 0 <= t < count < latent_size:
    raise ValueError(
      f'code {t} of {count} tasks does not fit {latent_size} latents'
    )
  one = np.eye(count, dtype=np.float32)[t]
  return sources.Source(one, _draw_coded(latent_size))


@functools.lru_cache(maxsize=64)
def _draw_coded(latent_size):
  def draw(code: jax.Array, key: types.PRNGKey, n: int) -> jax.Array:
    z = batch_shards.rows(
      lambda n: jax.random.normal(key, (n, latent_size - len(code))), n
    )
    codes = jnp.broadcast_to(code[None], (n, len(code)))
    return jnp.concatenate([z, codes], 1)[None]

  return draw
