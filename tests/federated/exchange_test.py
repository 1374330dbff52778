"""What arrives from a node: only what its network has, and nothing is read
before its size is known."""

import io
import tracemalloc

import jax
import numpy as np
import pytest

from coalesce_jax.federated import exchange

TREE = {'a': {'kernel': np.arange(6.0).reshape(2, 3)}, 'rate': np.float32(-2)}
LIKE = jax.eval_shape(lambda: jax.tree.map(jax.numpy.float32, TREE))


def packed():
  return exchange.pack(TREE)


def header(text):
  """Bytes of a NumPy file with this header and no values."""
  body = text.encode()
  body += b' ' * (-(len(body) + 11) % 64) + b'\n'
  return b'\x93NUMPY\x01\x00' + len(body).to_bytes(2, 'little') + body


def test_a_tree_comes_back_with_its_leaves_by_name():
  sent = packed()
  assert list(sent) == ['a/kernel', 'rate']
  found = exchange.unpack(dict(reversed(sent.items())), LIKE)
  np.testing.assert_array_equal(found['a']['kernel'], [[0, 1, 2], [3, 4, 5]])
  assert found['rate'].shape == () and float(found['rate']) == -2.0
  # Others read it by NumPy.
  file = io.BytesIO(sent['a/kernel'].data)
  np.testing.assert_array_equal(
    np.load(file, allow_pickle=False), TREE['a']['kernel']
  )


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda s: s.pop('rate'), "lacks 'rate'"),
    (lambda s: s.update(b=s['rate']), "has 'b', unlike its network"),
    (lambda s: s.update(rate=s['rate']._replace(dtype='float64')),
     "'rate' is numpy.ndarray of float64"),
    (lambda s: s.update(rate=s['rate']._replace(stype='pickle')),
     "'rate' is pickle of float32, not numpy.ndarray"),
    (lambda s: s.update(rate=s['rate']._replace(shape=(2_500_000_000,))),
     r"'rate' is \(2500000000,\), its network has \(\)"),
    (lambda s: s.update(rate=s['rate']._replace(data=bytes(2000))),
     "'rate' has 2000 bytes, more than 1028"),
    (lambda s: s.update(rate=s['rate']._replace(data=b'\x80\x04K\x01.')),
     "'rate' is no array of NumPy"),
    (lambda s: s.update(rate=s['rate']._replace(data=s['rate'].data[:-1])),
     r"'rate' has 3 bytes for \(\)"),
    # The claim of the message is right, that of the bytes is of 10 GB.
    (lambda s: s.update(rate=s['rate']._replace(data=header(
       "{'descr': '<f4', 'fortran_order': False, 'shape': (2500000000,), }"))),
     r"'rate' has bytes of float32 \(2500000000,\), its network has"),
    (lambda s: s.update(rate=s['rate']._replace(data=header(
       "{'descr': '|O', 'fortran_order': False, 'shape': (), }"))),
     "'rate' has bytes of object"),
    (lambda s: s.update(exchange.pack({'rate': np.float32(0)}) | {
       'a/kernel': s['a/kernel']._replace(
         data=s['a/kernel'].data[:-4] + np.float32('nan').tobytes())}),
     "'a/kernel' holds values that are not finite"),
  ],
  ids=['missing', 'extra', 'type', 'pickle', 'claim', 'long', 'no-array',
       'short', 'claim-inside', 'objects', 'nan'],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(change, message):
  sent = packed()
  change(sent)
  with pytest.raises(ValueError, match=message) as error:
    exchange.unpack(sent, LIKE)
  assert '\n' not in str(error.value)


def test_a_claim_of_ten_gigabytes_takes_no_memory():
  sent = packed()
  text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2500000000,), }"
  block = sent['rate']._replace(data=header(text))
  tracemalloc.start()
  with pytest.raises(ValueError, match='has bytes of float32'):
    exchange.unpack({**sent, 'rate': block}, LIKE)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 1 << 20


def test_nothing_that_is_not_finite_is_sent():
  with pytest.raises(ValueError, match='a: not finite'):
    exchange.pack({'a': np.array([1.0, np.inf])})


def test_a_file_is_taken_only_as_long_as_it_claims_to_be():
  block = exchange.file_block(b'abc')
  assert exchange.file_bytes({'f': block}, 'f', 3) == b'abc'
  for wrong, most, message in (
    ({'f': block}, 2, '3 bytes, more than 2'),
    ({'f': block._replace(shape=(10**10,))}, 9, r'claims \(10000000000,\)'),
    ({'f': block._replace(stype='pickle')}, 9, 'is pickle of uint8'),
    ({'f': block, 'g': block}, 9, "has .'f', 'g'., not only 'f'"),
    ({}, 9, "not only 'f'"),
  ):
    with pytest.raises(ValueError, match=message):
      exchange.file_bytes(wrong, 'f', most)


@pytest.mark.parametrize('value', [True, '3', None, [3], float('nan'), 0, 11])
def test_numbers_are_numbers_within_bounds(value):
  assert exchange.whole({'n': 3.0}, 'n', 1, 10) == 3
  with pytest.raises(ValueError, match=r'n .* is no number in \[1, 10\]'):
    exchange.whole({'n': value}, 'n', 1, 10)
  with pytest.raises(ValueError, match='n 2.5 is no whole number'):
    exchange.whole({'n': 2.5}, 'n', 1, 10)
