"""A node by itself: its own images alone, and the tasks that it had before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coalesce_jax.data import tasks
from coalesce_jax.federated import exchange
from coalesce_jax.federated import node
from tests.federated import small


def test_a_node_alone_has_its_images_and_no_other():
  every = small.nodes()
  mine = node.only(every, 1)
  # The second of these nodes has ten images, from row 12 on.
  np.testing.assert_array_equal(mine.images, every.images[12:22])
  assert mine.rows.shape == (1, 2, 6) and float(mine.samples[0]) == 10.0


def test_a_node_alone_draws_the_tasks_that_it_draws_among_others():
  every = small.nodes()
  draw = jax.jit(tasks.draw, static_argnums=3)
  for index in (1, 4):
    mine = node.only(every, index)
    for seed in range(3):
      key = jax.random.key(seed)
      wanted = draw(every, jnp.int32(index), key, small.SHAPE)
      found = draw(mine, jnp.int32(0), key, small.SHAPE)
      for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_node_says_which_it_is_and_sends_no_array_for_it():
  handlers = node.handlers(
    small.DENSE, small.config(), small.SHAPE, node.only(small.nodes(), 1)
  )
  answer = handlers['query'](exchange.Content({}, {}))
  assert answer == exchange.Content({}, {'position': -1, 'num-examples': 10})


@pytest.mark.parametrize('kind', ['train', 'evaluate'])
def test_a_node_checks_what_the_server_sends(kind):
  handlers = node.handlers(
    small.DENSE, small.config(), small.SHAPE, node.only(small.nodes(), 0)
  )
  with pytest.raises(ValueError, match='lacks .*, unlike its network'):
    handlers[kind](exchange.Content({}, {'key': [0, 1]}))


@pytest.mark.parametrize(
  'key', [None, 3, [0], [0, 1.5], [0, -1], [0, 2**32], ['0', '1'], [True, 0]]
)
def test_a_node_refuses_what_is_no_key(key):
  handlers = node.handlers(
    small.DENSE, small.config(), small.SHAPE, node.only(small.nodes(), 0)
  )
  arrays = exchange.pack(small.params(small.DENSE))
  with pytest.raises(ValueError, match='key .* is no random key'):
    handlers['train'](exchange.Content(arrays, {'key': key, 'round': 1}))


@pytest.mark.slow
def test_the_penalty_of_a_node_is_that_of_its_round():
  rho, losses, opened = 3.0, {}, set()
  # Four rounds; neither gates nor their noise change.
  config = small.config(
    order='backbone', rho=rho, target=0.0, noise=1.0, closing=1.0
  )
  mine = node.only(small.nodes(), 0)
  train = node.handlers(small.SPEC, config, small.SHAPE, mine)['train']
  arrays = exchange.pack(small.params(small.SPEC))
  for number in (1, 3, 5):
    values = {'key': [0, 1], 'round': number}
    found = train(exchange.Content(arrays, values)).values
    losses[number] = found['loss']
    opened.add(found['open'])
  for wrong in (0, 1.5, 2**40):
    values = {'key': [0, 1], 'round': wrong}
    with pytest.raises(ValueError, match='round'):
      train(exchange.Content(arrays, values))
  (share,) = opened
  assert 0.5 < share <= 1.0
  for number, begins in ((3, 0.5), (5, 0.0)):
    penalty = losses[number] - losses[1]
    np.testing.assert_allclose(penalty, rho * (share - begins), rtol=1e-4)
