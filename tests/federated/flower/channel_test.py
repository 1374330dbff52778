"""How messages become Flower's, and what becomes of its answers."""

import numpy as np
import pytest

app = pytest.importorskip('flwr.app')

from flwr.supercore import task_identity  # noqa: E402
import httpx  # noqa: E402

from coalesce_jax.federated import exchange  # noqa: E402
from coalesce_jax.federated import flower  # noqa: E402


@pytest.fixture(autouse=True)
def _identity():
  """Flower's processes know what they are; messages are made with that."""
  identity = task_identity.TaskIdentity
  identity.run_id, identity.node_id, identity.task_id = 1, 1, 1


class Grid:
  """Stands in for Flower's: answers by node, or an exception to raise."""

  def __init__(self, answers):
    self.answers, self.sent = answers, {}

  def get_node_ids(self):
    return [30, 10, 20]

  def push_messages(self, messages):
    (message,) = messages
    node = message.metadata.dst_node_id
    self.sent[node] = message
    return [f'to {node}'] if node in self.answers else []

  def pull_messages(self, numbers):
    ((node,),) = [[int(number.split()[1])] for number in numbers]
    answer = self.answers[node]
    if isinstance(answer, list):
      answer = answer.pop(0)
    if isinstance(answer, Exception):
      raise answer
    return [] if answer is None else [answer(self.sent[node])]


def reply(arrays, metrics):
  """Answers like the app of a node."""

  def make(message):
    client = flower.client_app(
      lambda run, node: {
        'train': lambda given: exchange.Content(
          arrays or given.arrays, {**metrics, 'seen': given.values['n']}
        )
      }
    )
    return client(message, CONTEXT)

  return make


CONTEXT = app.Context(
  run_id=1, node_id=10, node_config={}, state=app.RecordDict(), run_config={}
)


def ask(answers, seconds=60.0):
  grid = Grid(answers)
  content = exchange.Content(exchange.pack({'a': np.ones(3)}), {'n': 7})
  channel = flower.channel(grid)
  return channel.ask('train', dict.fromkeys(answers, content), seconds), grid


def test_arrays_and_values_travel_there_and_back():
  found, grid = ask({10: [None, reply({}, {'loss': 0.5})]})
  assert grid.sent[10].metadata.message_type == 'train'
  assert found[10].values == {'loss': 0.5, 'seen': 7}
  like = {'a': np.zeros(3, np.float32)}
  np.testing.assert_array_equal(
    exchange.unpack(found[10].arrays, like)['a'], np.ones(3)
  )


def test_what_cannot_be_read_is_the_fault_of_its_sender():
  def fails(message):
    client = flower.client_app(lambda run, node: {})
    return client(message, CONTEXT)

  def refuses(message):
    def make(run, node):
      raise ValueError('no images\nhere')

    return flower.client_app(make)(message, CONTEXT)

  broken = KeyError('object 7')
  # Flower itself answers for an app that fails otherwise.
  with pytest.raises(KeyError):
    fails(ask({10: reply({}, {})})[1].sent[10])
  found, _ = ask({10: broken, 20: refuses, 30: reply({}, {})})
  assert found[10] == "cannot be decoded (KeyError('object 7'))"
  assert found[20] == 'no images'
  assert found[30].values == {'seen': 7}


def test_a_lost_connection_is_tried_again_until_the_time_is_over():
  lost = httpx.ReadTimeout('slow')
  found, _ = ask({10: [lost, reply({}, {})]})
  assert found[10].values == {'seen': 7}
  found, _ = ask({10: lost}, seconds=0.0)
  assert found == {}


def test_a_message_that_is_too_large_to_send_has_an_answer():
  grid = Grid({})
  channel = flower.channel(grid)
  found = channel.ask('train', {10: exchange.Content({}, {})}, 1.0)
  assert found == {10: 'the SuperLink did not take its message'}
  assert channel.online() == [10, 20, 30]
