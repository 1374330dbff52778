"""Thousands of damaged bundles: weights as promised, or one refusal."""

import dataclasses
import json
import time
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.core import files as files_lib
from coalesce_jax.gan import refined_source
from coalesce_jax.methods import mixture
from coalesce_jax.models import bundle
from coalesce_jax.models import generator
from tests import small
from tests.models import damaged

# 234,273 weights, so that theirs is most of the memory.
SPEC = generator.Spec('dcgan', 64, (28, 28, 1), (('width', 32),))


def float_bundle():
  return generator.create(SPEC, SPEC.build().init(jax.random.key(0)))


def ternary_bundle(scheme='twn', granularity='channel'):
  return small.ternarized(float_bundle(), scheme, granularity)


def mixture_bundle():
  small_critic = generator.freeze({'width': 8})
  spec = dataclasses.replace(SPEC, critic='dcgan', critic_options=small_critic)
  critic = spec.build_critic().init(jax.random.key(1))
  node = generator.create(spec, float_bundle().params, critic)
  return mixture.mixture([node, node], refine=refined_source.Config())


def intact():
  return {
    'float': bundle.encode(float_bundle()),
    '2bit': bundle.encode(ternary_bundle()),
    'two scales': bundle.encode(ternary_bundle('ttq')),
    'trits': bundle.encode(ternary_bundle(), packing='trits'),
    'mixture': bundle.encode(mixture_bundle()),
  }


VALUES = (
  None, True, 0, -1, 1, 2, 7, 1 << 20, 10**12, 1.5, float('nan'), '', 'x',
  'dcgan', 'mlp', 'trits', '2bit', 'layer', [], [0], [3, 3, 1], {}, {'x': 1},
)  # fmt: skip


def bits(rng, data):
  """Some bytes changed anywhere, more often in the header."""
  raw = bytearray(data)
  (length,) = np.frombuffer(data[:8], '<u8')
  for _ in range(rng.integers(1, 4)):
    end = 8 + int(length) if rng.random() < 0.7 else len(raw)
    raw[rng.integers(end)] = rng.integers(256)
  return bytes(raw)


def cut(rng, data):
  """Something left out, or put in."""
  at, n = rng.integers(len(data)), rng.integers(1, 64)
  if rng.random() < 0.5:
    return data[:at] + data[at + n :]
  return data[:at] + rng.bytes(n) + data[at:]


def payload(rng, data):
  """Other tensors, with a digest to match."""
  header, rest = damaged.parts(data)
  raw = bytearray(rest)
  for _ in range(rng.integers(1, 4)):
    raw[rng.integers(len(raw))] = rng.integers(256)
  manifest = json.loads(header['__metadata__']['coalesce_jax'])
  manifest['payload_sha256'] = files_lib.digest([bytes(raw)])
  header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  return damaged.joined(header, bytes(raw))


def header(rng, data):
  """A value of the header or of the manifest replaced, moved or gone."""
  header, rest = damaged.parts(data)
  manifest = json.loads(header['__metadata__']['coalesce_jax'])
  where = header if rng.random() < 0.4 else manifest
  while True:
    key = list(where)[rng.integers(len(where))]
    inner = where[key]
    if not isinstance(inner, dict) or not inner or rng.random() < 0.3:
      break
    where = inner
  chance = rng.random()
  if chance < 0.2:
    del where[key]
  elif chance < 0.3:
    where[key + 'x'] = where.pop(key)
  else:
    where[key] = VALUES[rng.integers(len(VALUES))]
  if isinstance(header.get('__metadata__'), dict):
    header['__metadata__']['coalesce_jax'] = json.dumps(manifest)
  return damaged.joined(header, rest)


def load(path):
  """The generator, or None where it was refused; peak bytes and seconds."""
  tracemalloc.start()
  began = time.process_time()
  try:
    made = cj.load(path)
  except cj.BundleError as error:
    assert '\n' not in str(error) and str(error).encode()
    made = None
  seconds = time.process_time() - began
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  return made, peak, seconds


ODD = (
  None, True, 0, -1, 10**30, 8.0, 1.5, -0.0, float('nan'), float('inf'), '',
  '\ud800', 'a\nb', 'x' * 5000, [], [None], [[None]], [True], [8.0], [0.0, 8.0],
  [float('nan')], [10**30, -1], ['8'], [{}], {}, {'x': None}, {'x': [None]},
  {'': {'x': [[]]}},
)  # fmt: skip


def places(value, at=()):
  """All places of a JSON value, from the outside to the inside."""
  yield at
  if isinstance(value, dict | list):
    for key in value if isinstance(value, dict) else range(len(value)):
      yield from places(value[key], (*at, key))


def put(value, at, new):
  """A copy with another value at a place."""
  if not at:
    return new
  copied = dict(value) if isinstance(value, dict) else list(value)
  copied[at[0]] = put(value[at[0]], at[1:], new)
  return copied


@pytest.mark.parametrize(
  'odd', [1, pytest.param(len(ODD), marks=pytest.mark.slow)]
)
def test_any_value_in_any_place_of_a_header_is_read_or_refused(tmp_path, odd):
  path = tmp_path / 'a.safetensors'
  made = small.coded(small.drawn(small.VECTORS), 'channel', 2)
  header, rest = damaged.parts(bundle.encode(made))
  text = header.pop('__metadata__')['coalesce_jax']
  manifest = json.loads(text)
  calls = 0
  for where in (header, manifest):
    for k, at in enumerate(places(where)):
      for new in (*ODD, *ODD)[k % len(ODD) :][:odd]:
        changed = put(where, at, new)
        kept = text if where is header else json.dumps(changed)
        whole = changed if where is header else header
        if isinstance(whole, dict):
          whole = {**whole, '__metadata__': {'coalesce_jax': kept}}
        path.write_bytes(damaged.joined(whole, rest))
        load(path)
        calls += 1
  assert calls > 50


@pytest.mark.parametrize(
  'count', [25, pytest.param(2000, marks=pytest.mark.slow)]
)
def test_damaged_bundles_load_to_honest_weights_or_are_refused(tmp_path, count):
  rng = np.random.default_rng(count)
  path = tmp_path / 'a.safetensors'
  files, honest = intact(), {}
  for name, data in files.items():
    path.write_bytes(data)
    load(path)
    honest[name] = load(path)[1]
  loaded, refused, slowest = 0, 0, []
  for _ in range(count):
    name = list(files)[rng.integers(len(files))]
    damage = (bits, cut, payload, header)[rng.integers(4)]
    path.write_bytes(damage(rng, files[name]))
    made, peak, seconds = load(path)
    slowest.append(seconds)
    assert peak <= 2 * honest[name], damage.__name__
    # Of a processor, not of the clock: machines are shared.
    assert seconds < 1.0, damage.__name__
    if made is None:
      refused += 1
      continue
    loaded += 1
    wanted = jax.eval_shape(made.network.init, jax.random.key(0))
    for leaf, shape in zip(
      jax.tree.leaves(made.params), jax.tree.leaves(wanted), strict=True
    ):
      assert leaf.shape == shape.shape and bool(jnp.all(jnp.isfinite(leaf)))
  assert loaded > count / 20 and refused > count / 2
  print(f'{loaded} loaded, slowest {max(slowest):.2f} s')
