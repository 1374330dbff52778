"""Finds out which node is where, and asks nodes whatever their answers are.

A node has a position, 0 to M - 1, and a number by which its channel knows it.

Shapes: M nodes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from absl import logging

from coalesce_jax.federated import exchange
from coalesce_jax.federated import node as node_lib

# Notes why the answer of a node of this name is not used.
Refuse = Callable[[str, ValueError], None]


class Members(NamedTuple):
  """The nodes that the server knows.

  Attributes:
    places: numbers of the nodes that are connected, by position.
    asked: numbers of all nodes that were asked for their position.
  """

  places: Mapping[int, int] = {}
  asked: frozenset[int] = frozenset()


def noted(lines: list[str]) -> Refuse:
  """Returns what writes one line for each refused answer to a list and a log.

  Args:
    lines: is appended to.
  """

  def refuse(name: str, error: ValueError) -> None:
    reason = next(iter(str(error).splitlines()), 'refused')[:300]
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
  """Asks new nodes for their positions, and forgets those that are gone.

  A node that names no position gets a free one. One that names the position of
  another is refused.

  Args:
    channel: how nodes are reached.
    known: the nodes that were known before.
    count: M.
    timeout: seconds to wait for answers.
    refuse: is told of nodes without a position.
  """
  online = channel.online()
  places = {p: n for p, n in known.places.items() if n in online}
  new = sorted(set(online) - known.asked)
  unnamed, answers = [], {}
  if new:
    nothing = exchange.Content({}, {})
    answers = dict(channel.ask('query', dict.fromkeys(new, nothing), timeout))
  for number in new:
    try:
      position = exchange.whole(
        _content(answers.get(number)).values, node_lib.POSITION,
        node_lib.UNNAMED, count - 1,
      )  # fmt: skip
      if position in places:
        raise ValueError(f'position {position} is taken')
    except ValueError as error:
      refuse(f'node number {number}', error)
      continue
    if position == node_lib.UNNAMED:
      unnamed.append(number)
    else:
      places[position] = number
  free = [position for position in range(count) if position not in places]
  places |= dict(zip(free, unnamed, strict=False))
  return Members(dict(sorted(places.items())), known.asked | set(new))


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
