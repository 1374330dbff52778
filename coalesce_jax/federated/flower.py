"""Carries messages by Flower: an app for the server, and one for the nodes.

Flower (https://flower.ai) runs one process for the server, the SuperLink, and
one for each node, a SuperNode. This module alone knows Flower. Its package is
an extra, `coalesce_jax[federated]`, and is imported when an app is made.

A message carries an ArrayRecord and, to a node, a ConfigRecord, or, from a
node, a MetricRecord.
"""

from collections.abc import Callable, Mapping
import importlib
import time
from typing import Any

from absl import logging

from coalesce_jax.core import files
from coalesce_jax.federated import exchange

# Keys of the records of a message.
_ARRAYS, _CONFIG, _METRICS = 'arrays', 'config', 'metrics'
_POLL = 1.0
Content = exchange.Content
# Settings of a run or of a node by name: numbers, texts and switches.
Values = Mapping[str, Any]


def module(name: str) -> Any:
  """Returns a module of Flower.

  Args:
    name: its name without 'flwr.'.

  Raises:
    ValueError: Flower is not installed; the line names the extra to install.
  """
  try:
    return importlib.import_module(f'flwr.{name}')
  except ImportError as error:
    reason = next(iter(str(error).splitlines()), '')[:200]
    raise ValueError(
      f'Flower cannot be imported ({reason}); install it in an environment of '
      "its own: pip install 'coalesce_jax[federated]'"
    ) from None


def client_app(
  make: Callable[[Values, Values], Mapping[str, exchange.Handler]],
) -> Any:
  """Returns the app of a node.

  A message that the node cannot answer is answered with the reason, in one
  line. Flower starts a process for every message, so that nothing is kept.

  Args:
    make: ``(settings of the run, settings of the node) -> handlers``. The kinds
      of messages are 'query', 'train' and 'evaluate'.

  Raises:
    ValueError: Flower is not installed.
  """
  app, flwr = module('clientapp').ClientApp(), module('app')

  def answer(kind: str, message: Any, context: Any) -> Any:
    try:
      handlers = make(context.run_config, context.node_config)
      found = handlers[kind](_content(message, _CONFIG))
    except ValueError as error:
      line = next(iter(str(error).splitlines()), 'ValueError')
      return flwr.Message(flwr.Error(0, line), reply_to=message)
    return flwr.Message(_record(found, _METRICS), reply_to=message)

  @app.query()
  def query(message: Any, context: Any) -> Any:
    return answer('query', message, context)

  @app.train()
  def train(message: Any, context: Any) -> Any:
    return answer('train', message, context)

  @app.evaluate()
  def evaluate(message: Any, context: Any) -> Any:
    return answer('evaluate', message, context)

  return app


def server_app(lead: Callable[[exchange.Channel, Values], None]) -> Any:
  """Returns the app of the server.

  Args:
    lead: ``(channel, settings of the run) -> None``, the whole run.

  Raises:
    ValueError: Flower is not installed.
  """
  app = module('serverapp').ServerApp()

  @app.main()
  def main(grid: Any, context: Any) -> None:
    # The process is the app's own; Flower passes on what it writes.
    logging.set_verbosity(logging.INFO)
    lead(channel(grid), context.run_config)

  return app


def channel(grid: Any) -> exchange.Channel:
  """Returns how the server reaches nodes by Flower.

  Args:
    grid: Flower's `Grid` of a run.
  """
  flwr = module('app')

  def online() -> list[int]:
    return sorted(grid.get_node_ids())

  def ask(
    kind: str, contents: Mapping[int, Content], seconds: float
  ) -> dict[int, Content | str]:
    waiting: dict[str, int] = {}
    answers: dict[int, Content | str] = {}
    for node, content in contents.items():
      message = flwr.Message(
        _record(content, _CONFIG), dst_node_id=node, message_type=kind
      )
      # There is none if the SuperLink did not take the message.
      number = next(iter(grid.push_messages([message])), None)
      if number is None:
        answers[node] = 'the SuperLink did not take its message'
      else:
        waiting[number] = node
    end = time.monotonic() + seconds
    while waiting:
      for number, node in list(waiting.items()):
        answer = _pulled(grid, number)
        if answer is not None:
          answers[node] = answer
          del waiting[number]
      if not waiting or time.monotonic() > end:
        break
      time.sleep(_POLL)
    return answers

  return exchange.Channel(online, ask, time.sleep)


def _pulled(grid: Any, number: str) -> Content | str | None:
  """Returns the answer to one message, or None if it is not there yet."""
  # One at a time, so that what cannot be read has one sender.
  lost = importlib.import_module('httpx').TransportError
  try:
    found = list(grid.pull_messages([number]))
  except lost as error:
    # The connection to the SuperLink is nobody's fault.
    logging.warning('the SuperLink does not answer (%r)', error)
    return None
  # Flower decodes what a node sent, and raises whatever that leads to.
  except Exception as error:
    return files.shown(f'cannot be decoded ({error!r:.200})')
  if not found:
    return None
  (message,) = found
  if message.has_error():
    reason = next(iter(str(message.error.reason).splitlines()), '')
    return files.shown(f'{reason[:300]}') or f'error {message.error.code}'
  return _content(message, _METRICS)


def _content(message: Any, values: str) -> Content:
  """Returns what a message carries; values of another record are not read."""
  content = message.content
  arrays = content.array_records.get(_ARRAYS, {})
  records = (
    content.config_records if values == _CONFIG else content.metric_records
  )
  return Content(dict(arrays), dict(records.get(values, {})))


def _record(content: Content, values: str) -> Any:
  flwr = module('app')
  arrays = {
    name: flwr.Array(
      dtype=block.dtype, shape=tuple(block.shape), stype=block.stype,
      data=block.data,
    )
    for name, block in content.arrays.items()
  }  # fmt: skip
  kind = flwr.ConfigRecord if values == _CONFIG else flwr.MetricRecord
  return flwr.RecordDict(
    {_ARRAYS: flwr.ArrayRecord(arrays), values: kind(dict(content.values))}
  )
