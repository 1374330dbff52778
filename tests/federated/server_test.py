"""Rounds over nodes that the server reaches by messages only."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.federated import exchange
from coalesce_jax.federated import learn
from coalesce_jax.federated import privacy
from coalesce_jax.federated import rounds
from coalesce_jax.federated import server
from coalesce_jax.training import loop
from tests.federated import channels
from tests.federated import small

KEY = jax.random.key(3)


def config(steps, **changes):
  """Settings of first order, without early stopping."""
  given = {'second_order': False, 'order': 'backbone', 'local_steps': 2}
  schedule = loop.Schedule(steps, 1, save_seconds=0.0, fast_compile=True)
  return small.config(schedule=schedule, **given | changes)


def close(found, wanted, **tolerance):
  other = trees.flatten(wanted)
  for name, leaf in trees.flatten(found).items():
    np.testing.assert_allclose(leaf, other[name], err_msg=name, **tolerance)


@pytest.mark.slow
def test_rounds_over_messages_equal_rounds_in_one_program():
  # What Adam does to the rounding of a gradient near 0 is not compared.
  settings = config(2, nodes=2, server='average')
  whole, _ = learn.metagater(
    KEY, small.nodes(), small.DENSE, small.SHAPE, config=settings
  )
  kept = []
  found = server.serve(
    channels.channel(channels.handlers(settings, 5)), small.DENSE, settings,
    KEY, count=5, score=False, keep=kept.append,
  )  # fmt: skip
  close(found.params, whole.params, atol=1e-5)
  close(kept[-1], found.params, atol=0)
  assert len(kept) == 2 and not found.refused
  assert [len(row['nodes']) for row in found.history] == [2, 2]


def answers(good):
  """What bad nodes answer in training, by their number."""
  name = next(iter(good.arrays))
  block = good.arrays[name]
  nan = block._replace(data=block.data[:-4] + np.float32('nan').tobytes())
  huge = block._replace(data=block.data[:-4] + np.float32(1e20).tobytes())
  claim = block._replace(shape=(2_500_000_000,))
  bad = lambda block: good._replace(arrays={**good.arrays, name: block})
  return {
    107: bad(huge),
    135: bad(nan),
    114: bad(claim),
    121: None,
    128: 'ValueError: out of memory',
  }


METRICS = {'loss': 0.5, 'accuracy': 0.25, 'open': 1.0}


def moving(position, way, examples=1, sent=None):
  """A node that adds a number to all it is sent, and notes what that was."""

  def train(given):
    start = exchange.unpack(given.arrays, small.params(small.DENSE))
    if sent is not None:
      sent.append(start)
    end = jax.tree.map(lambda leaf: leaf + way, start)
    values = {'num-examples': examples, **METRICS}
    return exchange.Content(exchange.pack(end), values)

  query = lambda _: exchange.Content({}, {'position': position})
  return {'query': query, 'train': train}


def test_nodes_that_answer_badly_are_named_and_the_round_goes_on():
  settings, sent = config(1, nodes=6, server='average'), []
  nodes = {100 + 7 * i: moving(i, 0.25, sent=sent) for i in range(6)}

  def change(number, kind, content):
    return answers(content).get(number, content) if kind == 'train' else content

  found = server.serve(
    channels.channel(nodes, change), small.DENSE, settings, KEY, count=6,
    score=False,
  )  # fmt: skip
  assert found.history == [{'round': 1, 'nodes': [0], **METRICS}]
  wanted = jax.tree.map(lambda leaf: leaf + 0.25, sent[0])
  close(found.params, wanted, atol=1e-7)
  lines = sorted(found.refused)
  assert [line.split(':')[0] for line in lines] == [
    'node 1', 'node 2', 'node 3', 'node 4', 'node 5',
  ]  # fmt: skip
  assert 'holds 1e+20, more than 1e+06' in lines[0]
  assert 'not finite' in lines[4] and '(2500000000,)' in lines[1]
  assert 'no answer in time' in lines[2] and 'out of memory' in lines[3]


def test_a_node_counts_by_its_images_or_at_most_as_far_as_the_bound():
  settings, sent = config(1, nodes=2, server='average'), []
  nodes = {
    5: moving(0, 0.0, sent=sent),
    6: moving(1, 10.0, examples=3, sent=sent),
  }
  moves = []
  for bound in (None, privacy.Privacy(clip=1.0)):
    found = server.serve(
      channels.channel(nodes), small.DENSE, settings, KEY, count=2,
      privacy=bound, score=False,
    )  # fmt: skip
    moves.append(jax.tree.map(jnp.subtract, found.params, sent[0]))
  for leaf in jax.tree.leaves(moves[0]):
    np.testing.assert_allclose(leaf, 7.5, rtol=1e-5)
  squares = [float(jnp.sum(x * x)) for x in jax.tree.leaves(moves[1])]
  # One of two nodes moved, by the bound; its claimed images do not count.
  np.testing.assert_allclose(np.sqrt(sum(squares)), 0.5, rtol=1e-4)


def test_with_a_bound_a_node_that_does_not_answer_changes_nothing():
  sent, silent = [], moving(1, 0.0)
  silent['train'] = lambda given: None
  found = server.serve(
    channels.channel({5: moving(0, 0.1, sent=sent), 6: silent}), small.DENSE,
    config(1, nodes=2, server='average'), KEY, count=2,
    privacy=privacy.Privacy(clip=0.4), score=False,
  )  # fmt: skip
  moved = jax.tree.map(jnp.subtract, found.params, sent[0])
  squares = [float(jnp.sum(x * x)) for x in jax.tree.leaves(moved)]
  np.testing.assert_allclose(np.sqrt(sum(squares)), 0.2, rtol=1e-4)
  assert found.history[0]['nodes'] == [0]


def test_step_sizes_that_would_overflow_are_refused():
  rates = moving(1, 30.0)
  found = server.serve(
    channels.channel({5: moving(0, 0.25), 6: rates}), small.DENSE,
    config(1, nodes=2, server='average'), KEY, count=2, score=False,
  )  # fmt: skip
  (line,) = found.refused
  assert line.startswith('node 1: ') and "'rates/" in line
  assert 'more than 20' in line and found.history[0]['nodes'] == [0]


def test_the_server_keeps_the_moments_of_adam_between_rounds():
  settings = config(4, nodes=1, server_rate=0.01, local_rate=0.1)
  ways = [1.0, -1.0, 1.0, 1.0]

  # A node moves by its gradient times the local rate.
  nodes = {5: {**moving(0, 0.0), 'train': lambda sent: moving(
    0, -0.1 * ways[sent.values['round'] - 1])['train'](sent)}}  # fmt: skip
  kept = []
  server.serve(
    channels.channel(nodes), small.DENSE, settings, KEY, count=1, score=False,
    keep=kept.append,
  )  # fmt: skip
  bias = [float(np.mean(each['backbone']['logits']['bias'])) for each in kept]
  # The first step is the rate whatever the gradient. In the second, the mean of
  # gradients is .1 * (.9 - 1) / (1 - .9 ** 2), and that of their squares 1.
  np.testing.assert_allclose(bias[0], -0.01, rtol=1e-4)
  np.testing.assert_allclose(bias[1] - bias[0], 0.01 / 19, rtol=1e-3)
  # Moments of the third and the fourth step, by the equations of Adam.
  m = [0.1 * (0.9 * (0.9 - 1.0) + 1.0), 0.1 * (0.9 * (0.9 * -0.1 + 1.0) + 1.0)]
  shares = [m[0] / (1 - 0.9**3), m[1] / (1 - 0.9**4)]
  rates = [(bias[i + 1] - bias[i]) / -shares[i - 1] for i in (1, 2)]
  # Constant in the first half, then falling to zero.
  np.testing.assert_allclose(rates, [0.01, 0.005], rtol=1e-3)


def position_only(position):
  return {
    'query': lambda _: exchange.Content({}, {'position': position}),
    'train': lambda _: 'not today',
  }


@pytest.mark.parametrize(
  ('nodes', 'message'),
  [
    ({}, 'no node is connected after 2 seconds'),
    ({7: position_only(0)}, 'could be used; the last: node 0: not today'),
    ({7: position_only(9)}, 'could be used; the last: node 0: is not conn'),
  ],
  ids=['none', 'unusable', 'unknown'],
)
def test_a_run_without_any_answer_says_why(nodes, message):
  with pytest.raises(ValueError, match=message):
    server.serve(
      channels.channel(nodes), small.DENSE, config(1), KEY, count=1, wait=2.0
    )


def test_a_node_that_comes_back_takes_its_place_again():
  settings = config(3, nodes=1, server='average')
  data = {1: position_only(0), 2: position_only(0), 3: position_only(0)}
  echo = lambda sent: exchange.Content(
    sent.arrays, {'num-examples': 1, 'loss': 0, 'accuracy': 1, 'open': 1}
  )
  for handlers in data.values():
    handlers['train'] = echo
  rounds_done = []
  present = lambda: [[1], [2, 3], [3]][min(len(rounds_done), 2)]
  found = server.serve(
    channels.channel(data, online=present), small.DENSE, settings, KEY,
    count=1, score=False, keep=rounds_done.append,
  )  # fmt: skip
  assert [row['nodes'] for row in found.history] == [[0], [0], [0]]
  assert found.refused == ['node number 3: position 0 is taken']


def test_gates_that_stay_at_their_nodes_are_refused():
  with pytest.raises(ValueError, match='personal_gates: gates that stay'):
    server.serve(
      channels.channel({}),
      small.SPEC,
      small.config(personal_gates=True),
      KEY,
      count=1,
    )


def test_nodes_are_sampled_without_repetition():
  settings = config(1, nodes=3)
  sample = jax.jit(functools.partial(rounds.sample, settings, 5))
  drawn = [np.asarray(sample(jnp.int32(s), KEY)[0]) for s in range(4)]
  assert all(len(set(each.tolist())) == 3 for each in drawn)
  assert len({tuple(each) for each in drawn}) > 1
