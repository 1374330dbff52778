"""Games over several devices: members first, then critics, then the batch.

A mesh has these three axes. Members of an ensemble (seeds, nodes) never talk
to each other, critics of one game only through the generator's gradient, shares
of a batch (`shares`) once an update: the axes are filled in that order.

  with sharding.use(sharding.mesh(members=8)):
    nodes, history = cj.pretrain(keys, datasets, spec)

  with sharding.use(jax.devices()):  # A mesh that fits each stage.
    nodes, history = cj.pretrain(keys, datasets, spec)

The cores of a CPU are devices too where `JAX_NUM_CPU_DEVICES` says so. On
several hosts every process calls `start` first and names its mesh.

Shapes: S members, K critics, B batch.
"""

from collections.abc import Iterator, Sequence
import contextlib
import contextvars
import math
from typing import Any

import jax
from jax import sharding as jax_sharding
import numpy as np

AXES = ('members', 'critics', 'batch')

_current: contextvars.ContextVar[Any] = contextvars.ContextVar(
  'mesh', default=None
)


def start(address: str, processes: int, index: int) -> None:
  """Joins the processes of several hosts; before anything else of JAX.

  On TPU pods and under Slurm `jax.distributed.initialize()` finds all three.

  Args:
    address: `host:port` of process 0.
    processes: number of processes.
    index: of this one.
  """
  if processes < 1 or not 0 <= index < processes:
    raise ValueError(f'process {index} is not among {processes}')
  jax.distributed.initialize(address, processes, index)


def mesh(
  members: int = 1, critics: int = 1, batch: int = 1, devices: Any = None
) -> jax_sharding.Mesh:
  """All devices as a mesh: as many as divide S, of the rest K, of the rest B.

  Args:
    members: S.
    critics: K.
    batch: B; 1 leaves the batch whole.
    devices: default all of JAX's.

  Raises:
    ValueError: devices are left over.
  """
  devices = jax.devices() if devices is None else list(devices)
  left, sizes = len(devices), []
  for count in (members, critics, batch):
    if count < 1:
      raise ValueError(f'members, critics or batch {count} is below 1')
    sizes.append(math.gcd(count, left))
    left //= sizes[-1]
  if left > 1:
    raise ValueError(
      f'{len(devices)} devices cannot share {members} members, {critics} '
      f'critics and a batch of {batch}: {left} of each {left} would be idle; '
      'take another number of members, or fewer devices'
    )
  return jax_sharding.Mesh(np.array(devices).reshape(sizes), AXES)


@contextlib.contextmanager
def use(over: jax_sharding.Mesh | Sequence[jax.Device]) -> Iterator[None]:
  """Games that are driven inside are spread over this mesh.

  Args:
    over: a mesh, or devices of this process: each stage then takes `fitting`.
  """
  token = _current.set(over)
  try:
    yield
  finally:
    _current.reset(token)


def current() -> jax_sharding.Mesh | None:
  """The mesh in use."""
  over = _current.get()
  return over if isinstance(over, jax_sharding.Mesh) else None


def fitting(members: int, batch: int) -> jax_sharding.Mesh | None:
  """For S members and B samples: a mesh of the devices in use.

  Args:
    members: S.
    batch: B.

  Returns:
    As many devices as S and B can share, S first; None where no devices are in
    use, or a mesh is, or only one device would be.
  """
  over = _current.get()
  if over is None or isinstance(over, jax_sharding.Mesh):
    return None
  for count in range(len(over), 1, -1):
    if batch % (count // math.gcd(members, count)) == 0:
      return mesh(members, 1, batch, over[:count])
  return None


def shardings(
  tree: Any,
  over: jax_sharding.Mesh,
  batched: bool,
  sharded: Sequence[tuple[str, str]] = (),
) -> Any:
  """Returns how every leaf of a task's state, inputs or keys is spread.

  Args:
    tree: arrays.
    over: the mesh.
    batched: whether leaves have a leading axis S.
    sharded: pairs of (field, mesh axis): leaves under a field of that name have
      an axis, after S, that lies along the mesh axis. All others are the same
      along it.
  """
  axis_of = dict(sharded)

  def of(path: tuple[Any, ...], leaf: Any) -> jax_sharding.NamedSharding:
    axes: list[str | None] = []
    if batched and leaf.ndim:
      axes.append(_axis(over, 'members', leaf.shape[0]))
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
  """Returns the arrays of a task, each spread as `shardings` says."""
  return jax.tree.map(_put, tree, shardings(tree, over, batched, sharded))


def everywhere(over: jax_sharding.Mesh) -> jax_sharding.NamedSharding:
  """The sharding of what every device holds whole."""
  return jax_sharding.NamedSharding(over, jax_sharding.PartitionSpec())


def _axis(over: jax_sharding.Mesh, name: str, size: int) -> str | None:
  return name if size % over.shape[name] == 0 else None


def _put(leaf: jax.Array, to: jax_sharding.NamedSharding) -> jax.Array:
  # Of arrays that only this process has, the same ones in every process.
  if not to.is_fully_addressable and leaf.is_fully_addressable:
    keys = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    values = np.asarray(jax.random.key_data(leaf) if keys else leaf)
    spread = jax.make_array_from_callback(
      values.shape, to, lambda index: values[index]
    )
    return jax.random.wrap_key_data(spread) if keys else spread
  return jax.device_put(leaf, to)
