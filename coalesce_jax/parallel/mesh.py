"""Spreads training over a mesh of devices: replicas, critics and batch shards.

A mesh has one axis for each of the three. Replicas of an ensemble never
communicate. The critics of one generator communicate through its gradient, and
batch shards (see `batch_shards`) communicate once an update. Devices therefore
go to replicas first, then to critics, then to batch shards.

  with mesh.use(mesh.mesh(replicas=8)):
    nodes, history = cj.pretrain(keys, datasets, spec)

  with mesh.use(jax.devices()):  # Each stage gets a mesh that fits it.
    nodes, history = cj.pretrain(keys, datasets, spec)

With `JAX_NUM_CPU_DEVICES` the cores of a CPU are devices. On several hosts
every process first calls `start` and then passes a mesh to `use`.

Shapes: S replicas, K critics, B batch.
"""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import math
from typing import Any

import jax
from jax import sharding as jax_sharding
import numpy as np

AXES = ('replicas', 'critics', 'batch')

_current: contextvars.ContextVar[Any] = contextvars.ContextVar(
  'mesh', default=None
)


def start(address: str, processes: int, index: int) -> None:
  """Connects the processes of several hosts, before any other use of JAX.

  On TPU pods and under Slurm, call `jax.distributed.initialize()` instead,
  which finds all three arguments.

  Args:
    address: `host:port` of process 0.
    processes: number of processes.
    index: index of this process.

  Raises:
    ValueError: the index is not in [0, processes).
  """
  if processes < 1 or not 0 <= index < processes:
    raise ValueError(f'process {index} is not among {processes}')
  jax.distributed.initialize(address, processes, index)


def mesh(
  replicas: int = 1, critics: int = 1, batch: int = 1, devices: Any = None
) -> jax_sharding.Mesh:
  """Arranges all devices in a mesh, replicas first, then critics, then batch.

  Each axis takes the greatest common divisor of its count and the number of
  devices that are left.

  Args:
    replicas: S.
    critics: K.
    batch: B; 1 keeps the batch on one device.
    devices: the devices; None is all devices of JAX.

  Returns:
    A mesh with the axes `AXES`.

  Raises:
    ValueError: there are no devices, a count is below 1, or some devices would
      be idle.
  """
  devices = jax.devices() if devices is None else list(devices)
  if not devices:
    raise ValueError('devices: there are none')
  left, sizes = len(devices), []
  for count in (replicas, critics, batch):
    if count < 1:
      raise ValueError(f'replicas, critics or batch {count} is below 1')
    sizes.append(math.gcd(count, left))
    left //= sizes[-1]
  if left > 1:
    raise ValueError(
      f'{len(devices)} devices cannot share {replicas} replicas, {critics} '
      f'critics and a batch of {batch}: only {len(devices) // left} would be '
      'used; use another number of replicas, or fewer devices'
    )
  return jax_sharding.Mesh(np.array(devices).reshape(sizes), AXES)


@contextlib.contextmanager
def use(over: jax_sharding.Mesh | Sequence[jax.Device]) -> Iterator[None]:
  """Spreads all training inside over a mesh.

  Args:
    over: a mesh, or devices of this process. With devices, each stage uses the
      mesh that `fitting` returns.
  """
  token = _current.set(over)
  try:
    yield
  finally:
    _current.reset(token)


def current() -> jax_sharding.Mesh | None:
  """Returns the mesh in use, or None without a mesh."""
  over = _current.get()
  return over if isinstance(over, jax_sharding.Mesh) else None


def fitting(replicas: int, batch: int) -> jax_sharding.Mesh | None:
  """Arranges the devices in use in a mesh for S replicas and B samples.

  Args:
    replicas: S.
    batch: B.

  Returns:
    A mesh of as many devices as S and B can share, replicas first. None if no
    devices are in use, if a mesh is in use, or if only one device would be.
  """
  over = _current.get()
  if over is None or isinstance(over, jax_sharding.Mesh):
    return None
  for count in range(len(over), 1, -1):
    if batch % (count // math.gcd(replicas, count)) == 0:
      return mesh(replicas, 1, batch, over[:count])
  return None


def shardings(
  tree: Any,
  over: jax_sharding.Mesh,
  batched: bool,
  sharded: Sequence[tuple[str, str]] = (),
) -> Any:
  """Returns the sharding of every leaf of a task's state, inputs or keys.

  Args:
    tree: arrays.
    over: the mesh.
    batched: whether leaves have a leading axis S.
    sharded: pairs of (field, mesh axis). Leaves under a field of that name have
      an axis, after S, that lies along the mesh axis; all others are copied
      along it.

  Returns:
    A tree of shardings with the structure of `tree`.
  """
  axis_of = dict(sharded)

  def of(path: tuple[Any, ...], leaf: Any) -> jax_sharding.NamedSharding:
    axes: list[str | None] = []
    if batched and leaf.ndim:
      axes.append(_axis(over, 'replicas', leaf.shape[0]))
    names = [getattr(entry, 'name', None) for entry in path]
    along = [axis_of[name] for name in names if name in axis_of]
    at = int(batched)
    if along and leaf.ndim > at:
      axes.append(_axis(over, along[0], leaf.shape[at]))
    return jax_sharding.NamedSharding(over, jax_sharding.PartitionSpec(*axes))

  return jax.tree_util.tree_map_with_path(of, tree)


def place(
  tree: Any,
  over: jax_sharding.Mesh,
  batched: bool,
  sharded: Sequence[tuple[str, str]] = (),
) -> Any:
  """Spreads every array of a tree over the mesh, see `shardings`."""
  return jax.tree.map(_put, tree, shardings(tree, over, batched, sharded))


def everywhere(over: jax_sharding.Mesh) -> jax_sharding.NamedSharding:
  """Returns the sharding of an array that every device holds whole."""
  return jax_sharding.NamedSharding(over, jax_sharding.PartitionSpec())


def _axis(over: jax_sharding.Mesh, name: str, size: int) -> str | None:
  return name if size % over.shape[name] == 0 else None


def _put(leaf: jax.Array, to: jax_sharding.NamedSharding) -> jax.Array:
  # Each process of several hosts holds the same copy of the array, and places
  # the blocks of its own devices.
  if not to.is_fully_addressable and leaf.is_fully_addressable:
    keys = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    values = np.asarray(jax.random.key_data(leaf) if keys else leaf)
    spread = jax.make_array_from_callback(
      values.shape, to, lambda index: values[index]
    )
    return jax.random.wrap_key_data(spread) if keys else spread
  return jax.device_put(leaf, to)
