"""Compiles steps of a task into one program, for replicas and several devices.

Shapes: S replicas.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.parallel import batch_shards
from coalesce_jax.parallel import mesh as mesh_lib
from coalesce_jax.training import task as task_lib

# The first level of LLVM computes the same bits as the usual one.
_START = {'xla_backend_optimization_level': 1}
# Loops by XLA's older emitters, without LLVM's optimizations.
_FAST = {
  'xla_backend_optimization_level': 0, 'xla_cpu_use_fusion_emitters': False,
}  # fmt: skip


@functools.lru_cache(maxsize=32)
def compiled(
  task: task_lib.Task,
  batched: bool,
  mesh: Any = None,
  at_once: int | None = None,
  fast: bool = False,
) -> Callable[..., Any]:
  """Returns the program of several steps.

  Equal arguments return the same program.

  Args:
    task: the task.
    batched: whether state, inputs and key have a leading axis S.
    mesh: mesh of devices, see `parallel.mesh`. The state stays sharded over it;
      every device holds the metrics. None is one device.
    at_once: replicas that a device computes together; None is all.
    fast: whether a CPU compiles without optimizations.

  Returns:
    ``(state, inputs, key, steps) -> (state, mean metrics, finite)``, where
    `finite` says whether the last state is finite.
  """
  step = task.step

  def chunk(state, inputs, key, num_steps):
    if not batched:
      return _chunk(step, state, inputs, key, num_steps)
    if at_once is not None and at_once < key.size:
      return _in_turns(step, at_once, state, inputs, key, num_steps)
    return _chunk(jax.vmap(step), state, inputs, key, num_steps)

  options = _on_cpu(**_FAST) if fast else None
  if mesh is None:
    return jax.jit(chunk, static_argnums=3, compiler_options=options)

  def sharded(state, inputs, key, num_steps):
    steps = functools.partial(chunk, num_steps=num_steps)
    after, metrics, finite = _sharded(steps, mesh, batched, state, inputs, key)
    after = jax.lax.with_sharding_constraint(
      after, mesh_lib.shardings(after, mesh, batched, task.sharded)
    )
    replicated = mesh_lib.everywhere(mesh)
    metrics = jax.lax.with_sharding_constraint(metrics, replicated)
    return after, metrics, jnp.all(finite)

  return jax.jit(sharded, static_argnums=3, compiler_options=options)


@functools.lru_cache(maxsize=64)
def each(fn: Callable[..., Any], batched: bool) -> Callable[..., Any]:
  """Returns `fn`, compiled and mapped over replicas where there are several.

  Args:
    fn: pure function of one replica.
    batched: whether its arguments have a leading axis S.
  """
  return jax.jit(jax.vmap(fn) if batched else fn)


def once(fn: Callable[..., Any]) -> Callable[..., Any]:
  """Returns `fn`, compiled for a single call, such as the start of a run.

  On a CPU, drawing parameters takes milliseconds. Compiling the draw with all
  optimizations of LLVM takes seconds. Their first level computes the same bits
  and compiles in a quarter of the time.

  Args:
    fn: pure function.
  """
  return jax.jit(fn, compiler_options=_on_cpu(**_START))


def _on_cpu(**options: int | bool) -> dict[str, int | bool] | None:
  """Returns options of the compiler; None elsewhere than on a CPU."""
  return options if jax.default_backend() == 'cpu' else None


def _sharded(chunk, mesh, batched, state, inputs, key):
  """Maps a chunk over replicas and batch shards; other axes are left to XLA."""
  manual = {'replicas', batch_shards.AXIS}
  replicas = batched and key.shape[0] % mesh.shape['replicas'] == 0
  spec = jax.sharding.PartitionSpec(*(['replicas'] if replicas else []))
  each = jax.sharding.PartitionSpec('replicas')

  def shard(state, inputs, key):
    with batch_shards.split(mesh.shape[batch_shards.AXIS]):
      after, metrics, finite = chunk(state, inputs, key)
    return after, metrics, finite[None]

  return jax.shard_map(
    shard,
    mesh=mesh,
    in_specs=spec,
    out_specs=(spec, spec, each),
    axis_names=manual,
    check_vma=False,
  )(state, inputs, key)


def _in_turns(step, at_once, state, inputs, key, num_steps):
  """Computes `_chunk` for a few replicas at a time."""

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
  """Returns the last state, mean metrics, and whether the state is finite."""
  state, metrics = run(step, state, inputs, key, num_steps)
  finite = jnp.array(
    [
      jnp.all(jnp.isfinite(leaf))
      for leaf in jax.tree.leaves(state)
      if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
  )
  means = {name: jnp.mean(value, 0) for name, value in metrics.items()}
  return state, means, jnp.all(finite)


def run(
  step: Callable[..., tuple[Any, types.Metrics]],
  state: Any,
  inputs: Any,
  key: types.PRNGKey,
  num_steps: int,
) -> tuple[Any, types.Metrics]:
  """Takes steps by `lax.scan`.

  10 steps followed by 20 steps with the same key equal 30 steps, bit for bit.

  Args:
    step: ``(state, inputs, key) -> (state, metrics)``.
    state: initial state.
    inputs: data of the steps.
    key: key of the run.
    num_steps: number of steps.

  Returns:
    The last state, and metrics `[num_steps, ...]`.
  """
  return jax.lax.scan(
    lambda state, _: step(state, inputs, key), state, None, num_steps
  )
