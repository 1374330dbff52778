"""Leads rounds over real nodes, whatever carries the messages.

The server samples the nodes of a round and takes its step as `rounds` does.
What a node sends is checked before it is used. A node whose answer cannot be
used is named in one line, and the round goes on with the others. So it does if
a node does not answer in time.

Shapes: M nodes, m nodes of a round.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from coalesce_jax.core import trees
from coalesce_jax.core import types
from coalesce_jax.federated import classifier
from coalesce_jax.federated import exchange
from coalesce_jax.federated import members as members_lib
from coalesce_jax.federated import meta as meta_lib
from coalesce_jax.federated import node as node_lib
from coalesce_jax.federated import privacy as privacy_lib
from coalesce_jax.federated import rounds
from coalesce_jax.federated import settings
from coalesce_jax.training import scan

# Metrics and parameters beyond these are as wrong as those that are not finite.
_LARGEST = 1e15
_LARGEST_PARAMETER = 1e6
# Logarithms of step sizes: what they stand for is finite, and so is its square.
_LARGEST_RATE = 20.0


class Outcome(NamedTuple):
  """The result of a run over nodes.

  Attributes:
    params: meta-parameters.
    history: a row for each round: its number, the nodes whose answers were
      used, and means of their metrics.
    scores: weighted means of the scores of nodes after the last round; empty if
      there are none.
    refused: a line for each answer that was not used.
  """

  params: types.Params
  history: list[dict[str, Any]]
  scores: dict[str, float]
  refused: list[str]


def serve(
  channel: exchange.Channel,
  spec: classifier.Spec,
  config: settings.Config,
  key: types.PRNGKey,
  *,
  count: int,
  timeout: float = 600.0,
  wait: float = 120.0,
  privacy: privacy_lib.Privacy | None = None,
  rng: np.random.Generator | None = None,
  score: bool = True,
  keep: Callable[[types.Params], None] = lambda params: None,
) -> Outcome:
  """Learns meta-parameters over rounds of real nodes.

  Args:
    channel: how nodes are reached.
    spec: the network.
    config: the settings. Of the schedule only the number of steps is read.
    key: consumed.
    count: M.
    timeout: seconds to wait for the answers of a round.
    wait: seconds to wait for nodes at the start.
    privacy: bound of an update, and noise; None is neither.
    rng: source of the noise; None is that of the system.
    score: whether nodes score the last meta-parameters.
    keep: called with the meta-parameters after each round.

  Returns:
    Meta-parameters, history, scores, and refused answers.

  Raises:
    ValueError: no node is connected, no answer of any round can be used, or
      gates are to stay at their nodes.
  """
  if config.personal_gates:
    raise ValueError(
      'personal_gates: gates that stay at their nodes are not supported over '
      'real nodes'
    )
  privacy = privacy or privacy_lib.Privacy()
  rng = np.random.default_rng() if rng is None else rng
  like = node_lib.shapes(spec)
  meta = scan.once(functools.partial(meta_lib.start, spec, config))(key)
  moments = rounds.server(config).init(meta)
  refused: list[str] = []
  refuse = members_lib.noted(refused)
  members_lib.wait(channel, count, wait)
  known = members_lib.Members()
  read = functools.partial(_read, like)
  history: list[dict[str, Any]] = []
  for step in range(config.schedule.steps):
    contents = _contents(config, count, step, key, meta)
    known = members_lib.update(channel, known, count, timeout, refuse)
    found = members_lib.ask(
      channel, known, 'train', contents, timeout, read, refuse
    )
    row: dict[str, Any] = {'round': step + 1, 'nodes': list(found)}
    if found:
      ends, samples, metrics = zip(*found.values(), strict=True)
      if privacy.clip:
        # What a node says of its number of images must not weigh its update.
        samples = (1,) * len(ends)
      average = _average(privacy, rng, meta, samples, ends, len(contents))
      meta, moments = rounds.move(config, meta, moments, average)
      row |= _mean(samples, metrics)
      keep(meta)
    logging.info('%s', row)
    history.append(row)
  if not any(row['nodes'] for row in history):
    reason = refused[-1] if refused else 'there are no rounds'
    raise ValueError(f'no answer of a node could be used; the last: {reason}')
  scores: dict[str, float] = {}
  if score:
    known = members_lib.update(channel, known, count, timeout, refuse)
    last = exchange.Content(exchange.pack(meta), {})
    judged = members_lib.ask(
      channel, known, 'evaluate', dict.fromkeys(known.places, last), timeout,
      _read_scores, refuse,
    )  # fmt: skip
    if judged:
      scores = _mean(*zip(*judged.values(), strict=True))
  return Outcome(meta, history, scores, refused)


def _contents(
  config: settings.Config,
  count: int,
  step: int,
  key: types.PRNGKey,
  meta: types.Params,
) -> dict[int, exchange.Content]:
  """Returns what the nodes of a round are sent, by their positions."""
  some, keys = rounds.sample(config, count, jnp.int32(step), key)
  sent, drawn = exchange.pack(meta), np.asarray(jax.random.key_data(keys))
  return {
    int(position): exchange.Content(
      sent, {node_lib.KEY: data.tolist(), node_lib.ROUND: step + 1}
    )
    for position, data in zip(some, drawn, strict=True)
  }


def _average(
  privacy: privacy_lib.Privacy,
  rng: np.random.Generator,
  meta: types.Params,
  samples: Sequence[int],
  ends: Sequence[types.Params],
  asked: int,
) -> types.Params:
  """Returns the weighted mean of what nodes end with, clipped and noised.

  Where updates are bounded, a node that was asked and did not answer counts
  with no update.
  """
  if privacy.clip:
    ends = [privacy_lib.clipped(meta, end, privacy.clip) for end in ends]
    silent = asked - len(ends)
    ends, samples = [*ends, *[meta] * silent], [*samples, *[1] * silent]
  weights = jnp.asarray(samples, jnp.float32)
  average = rounds.weighted_mean(weights, trees.stack(ends))
  if privacy.noise:
    deviation = privacy.noise * privacy.clip / asked
    average = privacy_lib.noised(average, deviation, rng)
  return average


def _read(
  like: Any, content: exchange.Content
) -> tuple[types.Params, int, dict[str, float]]:
  """Returns the parameters, the number of images and the metrics of a node."""
  examples = exchange.whole(
    content.values, exchange.EXAMPLES, 1, exchange.MAX_EXAMPLES
  )
  metrics = _numbers(content, node_lib.METRICS)
  found = exchange.unpack(content.arrays, like)
  for name, leaf in trees.flatten(found).items():
    largest = float(np.max(np.abs(leaf), initial=0.0))
    rate = name.startswith(f'{meta_lib.RATES}/')
    allowed = _LARGEST_RATE if rate else _LARGEST_PARAMETER
    if largest > allowed:
      raise ValueError(f'{name!r} holds {largest:.3g}, more than {allowed:g}')
  return found, examples, metrics


def _numbers(
  content: exchange.Content, names: tuple[str, ...]
) -> dict[str, float]:
  return {
    name: exchange.number(content.values, name, -_LARGEST, _LARGEST)
    for name in names
  }


def _read_scores(content: exchange.Content) -> tuple[int, dict[str, float]]:
  examples = exchange.whole(
    content.values, exchange.EXAMPLES, 1, exchange.MAX_EXAMPLES
  )
  return examples, _numbers(content, node_lib.SCORES)


def _mean(
  samples: Sequence[float], rows: Sequence[dict[str, float]]
) -> dict[str, float]:
  """Returns the weighted means of numbers by name."""
  weights = np.asarray(samples, np.float64) / np.sum(samples)
  return {
    name: float(sum(w * r[name] for w, r in zip(weights, rows, strict=True)))
    for name in rows[0]
  }
