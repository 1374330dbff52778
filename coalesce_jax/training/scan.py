"""Some steps of a game as one compiled program, alone, as an ensemble, spread.

Shapes: S members of an ensemble.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.parallel import batch_shards
from coalesce_jax.parallel import mesh as mesh_lib


@functools.lru_cache(maxsize=32)
def compiled(
  step: Callable[..., Any],
  batched: bool,
  mesh: Any = None,
  at_once: int | None = None,
) -> Callable[..., Any]:
  """The program, the same one for the same arguments.

  Args:
    step: of a game.
    batched: whether state, inputs and key have a leading axis S.
    mesh: over which they are spread, see `sharding`; the state stays so, the
      metrics are whole everywhere.
    at_once: members that a device computes together; None is all.

  Returns:
    ``(state, inputs, key, steps) -> (state, mean metrics, finite)``.
  """

  def chunk(state, inputs, key, num_steps):
    if not batched:
      return _chunk(step, state, inputs, key, num_steps)
    if at_once is not None and at_once < key.size:
      return _in_turns(step, at_once, state, inputs, key, num_steps)
    return _chunk(jax.vmap(step), state, inputs, key, num_steps)

  if mesh is None:
    return jax.jit(chunk, static_argnums=3)

  def spread(state, inputs, key, num_steps):
    some = functools.partial(chunk, num_steps=num_steps)
    after, metrics, finite = _by_hand(some, mesh, batched, state, inputs, key)
    after = jax.lax.with_sharding_constraint(
      after, mesh_lib.shardings(after, mesh, batched)
    )
    whole = mesh_lib.everywhere(mesh)
    metrics = jax.lax.with_sharding_constraint(metrics, whole)
    return after, metrics, jnp.all(finite)

  return jax.jit(spread, static_argnums=3)


def once(fn: Callable[..., Any]) -> Callable[..., Any]:
  """`fn` compiled for one call, such as the start of a run.

  On a CPU drawing parameters takes milliseconds and compiling it, with all of
  LLVM's optimisations, seconds: the first level of them has the same bits in a
  quarter of the time.
  """
  cpu = jax.default_backend() == 'cpu'
  options = {'xla_backend_optimization_level': 1} if cpu else None
  return jax.jit(fn, compiler_options=options)


def _by_hand(chunk, mesh, batched, state, inputs, key):
  """Members and shares of the batch, placed; critics are left to XLA."""
  manual = {'replicas', batch_shards.AXIS}
  replicas = batched and key.shape[0] % mesh.shape['replicas'] == 0
  spec = jax.sharding.PartitionSpec(*(['replicas'] if replicas else []))
  each = jax.sharding.PartitionSpec('replicas')

  def part(state, inputs, key):
    with batch_shards.split(mesh.shape[batch_shards.AXIS]):
      after, metrics, finite = chunk(state, inputs, key)
    return after, metrics, finite[None]

  return jax.shard_map(
    part,
    mesh=mesh,
    in_specs=spec,
    out_specs=(spec, spec, each),
    axis_names=manual,
    check_vma=False,
  )(state, inputs, key)


def _in_turns(step, at_once, state, inputs, key, num_steps):
  """`_chunk` of some members after the other."""

  def one(args):
    state, inputs, key = args
    return _chunk(step, state, inputs, key, num_steps)

  state, means, finite = jax.lax.map(
    one,
    (state, inputs, key),
    batch_size=at_once if at_once > 1 else None,
  )
  return state, means, jnp.all(finite)


def _chunk(step, state, inputs, key, num_steps):
  """One scan; mean metrics, and whether the final state is finite."""
  state, metrics = run(step, state, inputs, key, num_steps)
  leaves = jax.tree.leaves((state.generator, state.critics, state.ema))
  finite = jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])
  means = {name: jnp.mean(value, 0) for name, value in metrics.items()}
  return state, means, jnp.all(finite)


def run(
  step: Callable[..., tuple[Any, types.Metrics]],
  state: Any,
  inputs: Any,
  key: types.PRNGKey,
  num_steps: int,
) -> tuple[Any, types.Metrics]:
  """`num_steps` steps by `lax.scan`: final state, metrics `[num_steps, ...]`.

  Runs of 10 and then 20 steps with the same key equal one of 30, bit for bit.
  """
  return jax.lax.scan(
    lambda state, _: step(state, inputs, key), state, None, num_steps
  )
