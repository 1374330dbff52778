"""Which node is where: positions, nodes that wait, and silent ones."""

import pytest

from coalesce_jax.federated import exchange
from coalesce_jax.federated import members
from tests.federated import channels


def node(position):
  return {'query': lambda _: exchange.Content({}, {'position': position})}


def updates(nodes, online, count, change=lambda number, kind, content: content):
  """Places and refusals after each of several updates."""
  lines, found, known = [], [], members.Members()
  for here in online:
    channel = channels.channel(nodes, change, lambda here=here: here)
    refuse = members.noted(lines)
    known = members.update(channel, known, count, 1.0, refuse)
    found.append(dict(known.places))
  return found, lines


def test_a_node_waits_for_a_position_that_is_taken():
  nodes = {1: node(0), 2: node(0), 3: node(-1), 4: node(-1)}
  found, lines = updates(
    nodes, [[1, 3], [1, 2, 3, 4], [1, 2, 3, 4], [2, 4]], count=2
  )
  assert found == [{0: 1, 1: 3}] * 3 + [{0: 2, 1: 4}]
  # Each is named once.
  assert lines == [
    'node number 2: position 0 is taken', 'node number 4: no position is free',
  ]  # fmt: skip


def test_a_node_that_was_away_takes_its_position_again():
  found, lines = updates({1: node(1)}, [[1], [], [1]], count=2)
  assert found == [{1: 1}, {}, {1: 1}] and not lines


@pytest.mark.parametrize('answer', [None, 'still starting'])
def test_a_node_that_does_not_answer_is_asked_three_times(answer):
  asked = []

  def change(number, kind, content):
    asked.append(number)
    late = number == 1 and asked.count(1) == 3
    return content if late else answer

  found, lines = updates({1: node(0), 2: node(1)}, [[1, 2]] * 5, 2, change)
  assert found == [{}, {}] + [{0: 1}] * 3
  assert asked.count(1) == 3 and asked.count(2) == 3
  assert len(lines) == 2 + 3


def test_a_node_without_a_usable_position_is_not_asked_again():
  asked = []

  def change(number, kind, content):
    asked.append(number)
    return content

  found, lines = updates({1: node(7)}, [[1]] * 3, 2, change)
  assert found == [{}] * 3 and asked == [1]
  assert lines == ["node number 1: position '7' is no number in [-1, 1]"]


def test_lines_hold_no_control_characters():
  lines = []
  members.noted(lines)('node 1', ValueError('\x1b[2Jgone\nmore'))
  assert lines == ['node 1: \\x1b[2Jgone']
