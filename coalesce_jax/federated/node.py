"""Answers a server that leads rounds over real nodes.

The step of a node is that of `rounds`, so that a run over real nodes equals the
run in one program. Images never leave the node. It sends its meta-parameters,
its number of images, and metrics.
"""

from collections.abc import Mapping, Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import types
from coalesce_jax.data import tasks
from coalesce_jax.federated import classifier
from coalesce_jax.federated import evaluation
from coalesce_jax.federated import exchange
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import privacy
from coalesce_jax.federated import rounds
from coalesce_jax.federated import settings
from coalesce_jax.training import scan

# Name of the value that says which node this is; `UNNAMED` lets the server say.
POSITION = 'position'
UNNAMED = -1
# Names of values: numbers that make the key of a node's round, and its number.
KEY, ROUND = 'key', 'round'
_MAX_ROUNDS = 2**31 - 1
METRICS = ('loss', 'accuracy', 'open')
SCORES = ('accuracy', 'before', 'macs', 'static_accuracy', 'static_macs')
# Another stream of tasks than those of training.
_TEST_SEED = 1
Content = exchange.Content


def shapes(spec: classifier.Spec) -> Any:
  """Returns the shapes of the meta-parameters; computes nothing."""
  return jax.eval_shape(
    lambda: meta_lib.start(spec, settings.Config(), jax.random.key(0))
  )


def only(nodes: tasks.Nodes, index: int) -> tasks.Nodes:
  """Returns one of several nodes with its own images alone.

  Rows stay padded as they were, so that it draws the same tasks.

  Args:
    nodes: M nodes.
    index: which of them, in [0, M).
  """
  rows, counts = np.asarray(nodes.rows[index]), np.asarray(nodes.counts[index])
  mine = np.arange(rows.shape[1]) < counts[:, None]
  used = np.unique(rows[mine])
  moved = np.where(mine, np.searchsorted(used, rows), 0)
  return tasks.Nodes(
    nodes.images[used],
    jnp.asarray(moved[None], jnp.int32),
    *(leaf[index : index + 1] for leaf in nodes[2:]),
  )


def handlers(
  spec: classifier.Spec,
  config: settings.Config,
  shape: tasks.Shape,
  mine: tasks.Nodes,
  *,
  position: int = UNNAMED,
  clip: float = 0.0,
  count: int = 100,
) -> Mapping[str, exchange.Handler]:
  """Returns what a node does for each kind of message.

  * 'query' says which node this is.
  * 'train' takes the local steps of a round.
  * 'evaluate' scores meta-parameters on tasks of the node, after one step.

  Args:
    spec: the network.
    config: the settings.
    shape: sizes of the tasks.
    mine: the node: one, see `only`.
    position: which node it is, in [0, M), or `UNNAMED`.
    clip: greatest norm of an update, see `privacy`; 0 is no bound.
    count: tasks of an evaluation.
  """
  like, examples = shapes(spec), int(mine.samples[0])
  # Images are an argument: nodes of equal sizes share the program.
  step = scan.once(functools.partial(rounds.local, spec, config, shape))

  def query(given: Content) -> Content:
    del given
    return Content({}, {POSITION: position, exchange.EXAMPLES: examples})

  def train(given: Content) -> Content:
    start = exchange.unpack(given.arrays, like)
    key = _key(given.values.get(KEY))
    done = exchange.whole(given.values, ROUND, 1, _MAX_ROUNDS) - 1
    end, _, metrics = step(mine, jnp.int32(done), start, jnp.int32(0), key)
    if clip:
      end = privacy.clipped(start, end, clip)
    found = {name: float(metrics[name]) for name in METRICS}
    return Content(exchange.pack(end), {exchange.EXAMPLES: examples, **found})

  def evaluate(given: Content) -> Content:
    meta = exchange.unpack(given.arrays, like)
    drawn = evaluation.draw(mine, shape, count, _TEST_SEED)
    scores = evaluation.scorer(spec, config, False)(meta, drawn)
    found = {n: float(jnp.mean(getattr(scores, n))) for n in SCORES}
    return Content({}, {exchange.EXAMPLES: examples, **found})

  return {'query': query, 'train': train, 'evaluate': evaluate}


def _key(data: Any) -> types.PRNGKey:
  """Returns the random key of untrusted data: two whole numbers of 32 bits."""
  good = isinstance(data, Sequence) and len(data) == 2
  if not good or not all(type(n) is int and 0 <= n < 1 << 32 for n in data):
    raise ValueError(f'{KEY} {str(data)[:40]!r} is no random key')
  return jax.random.wrap_key_data(jnp.asarray(data, jnp.uint32))
