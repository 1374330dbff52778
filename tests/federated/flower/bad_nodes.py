"""The text of an app some of whose nodes answer badly.

A node does what `behaves` of its settings says, a word for each round. One that
waits first writes the file `marker`.
"""

MODULE = """
import pathlib
import time

import numpy as np

from coalesce_jax.federated import exchange
from coalesce_jax.federated import flower
from coalesce_jax.pipeline import {home} as app


def make(run, node):
  handlers = dict(app.make(run, node))
  if 'behaves' in node:
    handlers['train'] = lambda given: bad(given, node)
  return handlers


def bad(given, node):
  metrics = dict.fromkeys(('loss', 'accuracy', 'open'), 0.5)
  values = {{'num-examples': 5, **metrics}}
  arrays = dict(given.arrays) or {{'bundle': exchange.file_block(b'{{}}' * 50)}}
  name = max(arrays)
  block = arrays[name]
  block = exchange.Block(block.dtype, block.shape, block.stype, block.data)
  how = node['behaves'].split()[given.values.get('round', 1) - 1]
  if how == 'nan':
    data = block.data[:-4] + np.float32('nan').tobytes()
    block = block._replace(data=data)
  elif how == 'shape':
    block = exchange.pack({{'a': np.zeros(3)}})['a']
  elif how == 'claim':
    block = block._replace(shape=(2_500_000_000,))
  elif how == 'claim-inside':
    head = exchange.pack({{'a': np.zeros(0)}})['a'].data
    head = head.replace(b'(0,), }}' + 9 * b' ', b'(2500000000,), }}')
    block = block._replace(data=head)
  elif how == 'wait':
    pathlib.Path(node['marker']).touch()
    time.sleep(3600)
  return exchange.Content({{**arrays, name: block}}, values)


client = flower.client_app(make)
server = app.server()
"""
