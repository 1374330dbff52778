"""Matrix products whose precision is selected where a function is traced.

* float32: the factors are not rounded. JAX's default rounds them on
  accelerators.
* tensorfloat32: accelerators that can round the factors to 11 bits of mantissa
  do so. Elsewhere this is float32.
* bfloat16: the factors are rounded to 8 bits of mantissa and their products
  are summed in float32, as the matrix units of accelerators and of recent CPUs
  do. Parameters, biases, activations and optimizer states stay in float32.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import functools

import jax
from jax import lax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from coalesce_jax.ops import precision_names

NAMES = precision_names.NAMES

_PASSES = {'float32': lax.Precision.HIGHEST}

# A product in float32, whatever precision `use` selects.
matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)

_current = contextvars.ContextVar('precision', default='float32')


@contextlib.contextmanager
def use(name: str) -> Iterator[None]:
  """Selects the precision of every `dot` traced inside, and of its gradients.

  Args:
    name: one of `NAMES`.

  Raises:
    ValueError: the name is not one of `NAMES`.
  """
  if name not in NAMES:
    raise ValueError(f'precision {name!r} is not one of {NAMES}')
  token = _current.set(name)
  try:
    yield
  finally:
    _current.reset(token)


def dot(a: jax.Array, b: jax.Array, axis_a: int, axis_b: int) -> jax.Array:
  """Multiplies two matrices and sums over one axis of each.

  Args:
    a: a matrix.
    b: a matrix.
    axis_a: the axis of `a` that is summed over, 0 or 1.
    axis_b: the axis of `b` that is summed over, 0 or 1.

  Returns:
    A float32 matrix: its rows are the other axis of `a`, its columns the other
    axis of `b`.
  """
  return _DOT.bind(a, b, axis_a=axis_a, axis_b=axis_b, precision=_current.get())


def _dot(
  a: jax.Array, b: jax.Array, *, axis_a: int, axis_b: int, precision: str
) -> jax.Array:
  """Multiplies the last two axes; all axes before them are batch axes."""
  if precision == 'bfloat16':
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
  lead = a.ndim - 2
  batch = tuple(range(lead))
  # A size that an exported program leaves open cannot be compared.
  known = all(isinstance(n, int) for n in (*a.shape, *b.shape))
  cpu = known and jax.default_backend() == 'cpu'
  if cpu and axis_a == axis_b == 0 and 2 * a.size < b.size:
    # A product of rows by columns is up to 1.5 times as fast on a CPU. The
    # barrier keeps XLA from moving the transposition into the product.
    a, axis_a = lax.optimization_barrier(a.swapaxes(-1, -2)), 1
  product = functools.partial(
    lax.dot_general,
    dimension_numbers=(((lead + axis_a,), (lead + axis_b,)), (batch, batch)),
    preferred_element_type=jnp.float32,
    precision=_PASSES.get(precision),
  )
  if cpu and axis_a == axis_b == 1 and a.shape[lead] < b.shape[lead]:
    # With the longer factor first it is up to 1.5 times as fast on a CPU.
    return lax.optimization_barrier(product(b, a)).swapaxes(-1, -2)
  return product(a, b)


def _abstract(a, b, *, axis_a, axis_b, precision):
  del precision
  # Axis -1 - k of the last two is the one that is not summed over.
  rest = a.shape[-1 - axis_a], b.shape[-1 - axis_b]
  return jax.core.ShapedArray((*a.shape[:-2], *rest), jnp.float32)


# The derivatives of a product with respect to either factor, transposed or not.
# `lax.dot_general` returns the derivative of a factor transposed, so that it is
# read across its rows. These return it in the layout of the factor.
def _of_a(y, a, b, *, axis_a, axis_b, precision):
  del a
  put = functools.partial(_DOT.bind, precision=precision)
  if axis_a:
    return put(y, b, axis_a=1, axis_b=1 - axis_b)
  return put(b, y, axis_a=1 - axis_b, axis_b=1)


def _of_b(y, a, b, *, axis_a, axis_b, precision):
  del b
  put = functools.partial(_DOT.bind, precision=precision)
  if axis_b:
    return put(y, a, axis_a=0, axis_b=1 - axis_a)
  return put(a, y, axis_a=1 - axis_a, axis_b=0)


def _batch(args, dims, **params):
  (a, b), (of_a, of_b) = args, dims
  if of_b is None and b.ndim == 2:
    # Many first factors and one second factor make a single larger product.
    a = jnp.moveaxis(a, of_a, 0)
    count, axis = a.shape[0], params['axis_a']
    if axis == 0:
      a = a.swapaxes(0, 1)
    summed = b.shape[params['axis_b']]
    y = _DOT.bind(
      a.reshape((-1, summed) if axis else (summed, -1)), b, **params
    )
    return y.reshape(count, -1, y.shape[1]), 0
  size = b.shape[of_b] if of_a is None else a.shape[of_a]
  a, b = (
    jnp.broadcast_to(x, (size, *x.shape))
    if dim is None
    else jnp.moveaxis(x, dim, 0)
    for x, dim in ((a, of_a), (b, of_b))
  )
  return _DOT.bind(a, b, **params), 0


_DOT = core.Primitive('precision_dot')
_DOT.def_impl(jax.jit(_dot, static_argnames=('axis_a', 'axis_b', 'precision')))
_DOT.def_abstract_eval(_abstract)
mlir.register_lowering(_DOT, mlir.lower_fun(_dot, False))
ad.defbilinear(_DOT, _of_a, _of_b)
batching.primitive_batchers[_DOT] = _batch
