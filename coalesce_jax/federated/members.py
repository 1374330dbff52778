"""Finds out which node is where, and asks nodes whatever their answers are.

A node has a position, 0 to M - 1, and a number by which its channel knows it.

Shapes: M nodes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.federated import exchange
from coalesce_jax.federated import node as node_lib

# Notes why the answer of a node of this name is not used.
Refuse = Callable[[str, ValueError], None]
# So often a node that does not answer is asked for its position.
_TRIES = 3


class Members(NamedTuple):
  """The nodes that the server knows.

  Attributes:
    places: numbers of the nodes that are connected, by position.
    waiting: how often a node did not answer that has no position yet and is
      asked again, by number.
    refused: numbers of the nodes that are not asked again.
  """

  places: Mapping[int, int] = {}
  waiting: Mapping[int, int] = {}
  refused: frozenset[int] = frozenset()


def noted(lines: list[str]) -> Refuse:
  """Returns what writes one line for each refused answer to a list and a log.

  Args:
    lines: is appended to.
  """

  def refuse(name: str, error: ValueError) -> None:
    reason = next(iter(str(error).splitlines()), 'refused')[:300]
    reason = files.shown(reason)
    lines.append(f'{name}: {reason}')
    logging.warning('refused %s', lines[-1])

  return refuse


def wait(channel: exchange.Channel, count: int, seconds: float) -> None:
  """Waits until all nodes are connected, at most so long.

  Args:
    channel: how nodes are reached.
    count: M.
    seconds: how long to wait. Later there may be fewer nodes.

  Raises:
    ValueError: none is connected.
  """
  left = seconds
  while len(channel.online()) < count and left > 0.0:
    pause = min(1.0, left)
    channel.pause(pause)
    left -= pause
  here = len(channel.online())
  if not here:
    raise ValueError(f'no node is connected after {seconds:g} seconds')
  if here < count:
    logging.warning('%d of %d nodes are connected', here, count)


def update(
  channel: exchange.Channel,
  known: Members,
  count: int,
  timeout: float,
  refuse: Refuse,
) -> Members:
  """Asks nodes without a position for it, and forgets those that are gone.

  A node that names no position gets a free one. One that names the position of
  another, or that finds none free, waits and is asked again in the next round.
  So is one that does not answer, up to three times in all. One line says of
  each why it has no position.

  Args:
    channel: how nodes are reached.
    known: the nodes that were known before.
    count: M.
    timeout: seconds to wait for answers.
    refuse: is told of nodes without a position.
  """
  online = set(channel.online())
  places = {p: n for p, n in known.places.items() if n in online}
  new = sorted(online - set(places.values()) - known.refused)
  unnamed, answers = [], {}
  waiting: dict[int, int] = {}
  refused = set(known.refused)

  def wait(number: int, why: str) -> None:
    if number not in known.waiting:
      refuse(f'node number {number}', ValueError(why))
    waiting[number] = known.waiting.get(number, 0)

  if new:
    nothing = exchange.Content({}, {})
    answers = dict(channel.ask('query', dict.fromkeys(new, nothing), timeout))
  for number in new:
    answer = answers.get(number)
    try:
      position = exchange.whole(
        _content(answer).values, node_lib.POSITION, node_lib.UNNAMED, count - 1
      )
    except ValueError as error:
      refuse(f'node number {number}', error)
      tried = known.waiting.get(number, 0) + 1
      if not isinstance(answer, exchange.Content) and tried < _TRIES:
        waiting[number] = tried
      else:
        refused.add(number)
      continue
    if position in places:
      wait(number, f'position {position} is taken')
    elif position == node_lib.UNNAMED:
      unnamed.append(number)
    else:
      places[position] = number
  free = [position for position in range(count) if position not in places]
  places |= dict(zip(free, unnamed, strict=False))
  for number in unnamed[len(free) :]:
    wait(number, 'no position is free')
  return Members(dict(sorted(places.items())), waiting, frozenset(refused))


def ask(
  channel: exchange.Channel,
  known: Members,
  kind: str,
  contents: Mapping[int, exchange.Content],
  timeout: float,
  read: Callable[[exchange.Content], Any],
  refuse: Refuse,
) -> dict[int, Any]:
  """Asks nodes and reads their answers.

  Args:
    channel: how nodes are reached.
    known: the nodes.
    kind: kind of the message.
    contents: what each node is sent, by position.
    timeout: seconds to wait for answers.
    read: returns what an answer holds. It raises ValueError for one that cannot
      be used.
    refuse: is told of each node whose answer is missing or cannot be used.

  Returns:
    What was read, by position, in the order of `contents`.
  """
  places = {p: known.places[p] for p in contents if p in known.places}
  answers = channel.ask(
    kind, {number: contents[p] for p, number in places.items()}, timeout
  )
  found = {}
  for position in contents:
    try:
      if position not in places:
        raise ValueError('is not connected')
      found[position] = read(_content(answers.get(places[position])))
    except ValueError as error:
      refuse(f'node {position}', error)
  return found


def _content(answer: exchange.Content | str | None) -> exchange.Content:
  if answer is None:
    raise ValueError('no answer in time')
  if isinstance(answer, str):
    raise ValueError(answer)
  return answer
