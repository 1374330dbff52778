"""A channel to nodes of this process, some of which answer badly."""

from coalesce_jax.federated import exchange
from coalesce_jax.federated import node
from tests.federated import small


def channel(nodes, change=lambda number, kind, content: content, online=None):
  """Reaches nodes by number.

  Args:
    nodes: handlers by number.
    change: what becomes of an answer; None is none, a text is an error.
    online: returns the numbers of nodes that are connected.
  """

  def ask(kind, contents, timeout):
    del timeout
    answers = {}
    for number, content in contents.items():
      answer = change(number, kind, nodes[number][kind](content))
      if answer is not None:
        answers[number] = answer
    return answers

  return exchange.Channel(
    online or (lambda: list(nodes)), ask, lambda seconds: None
  )


def handlers(config, many, spec=small.DENSE, **more):
  """Handlers of so many nodes, with numbers that are no positions."""
  data = small.nodes()
  return {
    100 + 7 * i: node.handlers(
      spec, config, small.SHAPE, node.only(data, i), position=i, **more
    )
    for i in range(many)
  }
