"""Pickles of state dicts: read as pickle reads them, all others refused."""

import collections
import io
import pickle
import struct

import numpy as np
import pytest

from coalesce_jax.core import torch_pickle

DICT = b'ccollections\nOrderedDict\n)R'
FLOATS = b'ctorch\nFloatStorage\n'


def text(value):
  return b'X' + struct.pack('<I', len(value)) + value.encode()


def integer(value):
  return b'J' + struct.pack('<i', value)


def integers(values):
  return b'(' + b''.join(map(integer, values)) + b't'


def interpret(data):
  return torch_pickle.interpret(io.BytesIO(data))


STORAGE = {
  'kind': text('storage'),
  'dtype': FLOATS,
  'key': text('k'),
  'place': text('cpu'),
  'count': integer(6),
  'view': b'N',
  'more': b'',
}


def storage(**changes):
  return b'(' + b''.join((STORAGE | changes).values()) + b'tQ'


TENSOR = {
  'storage': storage(),
  'offset': integer(1),
  'shape': integers((2, 2)),
  'strides': integers((1, 2)),
  'more': b'\x89' + DICT,
}


def tensor(**changes):
  arguments = b'(' + b''.join((TENSOR | changes).values()) + b't'
  return b'ctorch._utils\n_rebuild_tensor_v2\n' + arguments + b'R'


@pytest.mark.parametrize(
  'value',
  [
    {'a': [0, 200, 3000, 70_000, -1, 1 << 40], 'b': 'text', 'c': 'ä'},
    {'none': None, 'yes': True, 'no': False, 'dict': {}, 'list': []},
    {'only': ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4))},
    # More than 256 strings that occur twice: long indices of the memo.
    [str(i) for i in range(300)] * 2,
  ],
)
def test_plain_values_are_those_of_pickle(value):
  # Texts, because True == 1.
  assert repr(interpret(pickle.dumps(value, 2))) == repr(value)


def test_an_ordered_dictionary_is_a_dictionary():
  value = collections.OrderedDict(b=1, a=(2,))
  found = interpret(pickle.dumps(value, 2))
  assert type(found) is dict and list(found.items()) == [('b', 1), ('a', (2,))]


def test_pickles_follow_each_other_in_a_stream():
  stream = io.BytesIO(pickle.dumps('one', 2) + pickle.dumps(2, 2) + b'rest')
  assert torch_pickle.interpret(stream) == 'one'
  assert torch_pickle.interpret(stream) == 2
  assert stream.read() == b'rest'


def test_a_mark_alone_is_an_empty_tuple():
  assert interpret(b'(t.') == ()


def test_attributes_of_a_dictionary_are_passed_over():
  data = b'N' + DICT + b'}' + text('versions') + b'}sb\x86.'
  assert interpret(data) == (None, {})


@pytest.mark.parametrize('name,dtype', [('Float', '<f4'), ('Long', '<i8')])
def test_tensors_are_views_of_storages(name, dtype):
  found = interpret(
    tensor(storage=storage(dtype=f'ctorch\n{name}Storage\n'.encode())) + b'.'
  )
  expected = torch_pickle.Storage(np.dtype(dtype), 'k', 6)
  assert found == torch_pickle.Tensor(expected, 1, (2, 2), (1, 2))
  assert interpret(storage() + b'.').count == 6


def test_bounds_of_tensors_may_be_reached():
  eight = integers([1] * 8)
  assert interpret(tensor(shape=eight, strides=eight) + b'.').shape == (1,) * 8
  # The seventh byte holds the sign.
  most = b'\x8a\x07' + b'\xff' * 6 + b'\x00'
  found = interpret(tensor(offset=most) + b'.')
  assert found.offset == (1 << 48) - 1
  assert interpret(tensor(offset=integer(0)) + b'.').offset == 0


SIX = 'not described by six values'
KIND = 'is of a kind that is not read here'
BAD = {
  'foreign name': (b'cbuiltins\neval\n.', "refuses the name 'builtins eval'"),
  'foreign opcode': (b'NN\x93.', 'refuses the opcode STACK_GLOBAL'),
  'unknown opcode': (b'\xff.', 'unknown'),
  'no end': (b'N', 'exhausted|end'),
  'two values': (b'NN.', 'too many values'),
  'no mark': (b'Nt.', 'a mark is missing'),
  'too few values': (b'N\x86.', 'a value is missing'),
  'a mark as a value': (b'N(\x86.', 'a value is missing'),
  'items of a list': (b']' + text('a') + b'Ns.', 'sets items'),
  'odd items': (b'}(' + text('a') + b'u.', 'sets items'),
  'a number as a key': (b'}K\x01Ns.', 'a key is no'),
  'a key twice': (
    b'}(' + 2 * (text('a') + b'N') + b'u.', "the key 'a' appears twice"
  ),
  'appends to a dictionary': (b'}(Ne.', 'appends to'),
  'attributes of a list': (b']}b.', 'sets .* state'),
  'a list of attributes': (b'}]b.', 'sets .* state'),
  'call of a dictionary': (b'})R.', 'calls'),
  'call with a list': (b'ccollections\nOrderedDict\n]R.', 'calls'),
  'dictionary with arguments': (
    b'ccollections\nOrderedDict\n(NtR.', "'collections.*' of 1 arguments"
  ),
  'call of a storage': (FLOATS + b')R.', "'torch FloatS.*' of 0 arguments"),
  'storage called with six': (
    FLOATS + b'(NNNNNNtR.', "'torch FloatS.*' of 6 arguments"
  ),
  'tensor of seven': (
    tensor(more=b'NNN') + b'.', '_rebuild_tensor_v2.* of 7 arguments'
  ),
  'storage of no tuple': (b'NQ.', SIX),
  'storage of seven': (storage(more=b'N') + b'.', SIX),
  'storage of another kind': (storage(kind=text('module')) + b'.', KIND),
  'storage of a number': (storage(kind=b'N') + b'.', KIND),
  'dtype by its name': (storage(dtype=text('FloatStorage')) + b'.', KIND),
  'dtype of a dictionary': (storage(dtype=DICT[:-2]) + b'.', KIND),
  'key is no text': (storage(key=integer(0)) + b'.', KIND),
  'place is no text': (storage(place=integer(0)) + b'.', KIND),
  'negative count': (storage(count=integer(-1)) + b'.', KIND),
  'true count': (storage(count=b'\x88') + b'.', KIND),
  'a view': (storage(view=integer(0)) + b'.', KIND),
  'tensor of no storage': (tensor(storage=b'N') + b'.', KIND),
  'negative offset': (tensor(offset=integer(-1)) + b'.', KIND),
  'giant offset': (
    tensor(offset=b'\x8a\x07' + bytes(6) + b'\x01') + b'.', KIND
  ),
  'negative shape': (tensor(shape=integers((2, -2))) + b'.', KIND),
  'negative strides': (tensor(strides=integers((2, -1))) + b'.', KIND),
  'list of sizes': (tensor(shape=b'](K\x02K\x02e') + b'.', KIND),
  'list of strides': (tensor(strides=b'](K\x01K\x02e') + b'.', KIND),
  'other number of strides': (tensor(strides=integers((1,))) + b'.', KIND),
  'nine axes': (
    tensor(shape=integers([1] * 9), strides=integers([1] * 9)) + b'.', KIND
  ),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_what_no_state_dict_needs_is_refused(name):
  data, message = BAD[name]
  with pytest.raises(ValueError, match=message):
    interpret(data)


def test_endless_opcodes_are_refused():
  limit = torch_pickle.MAX_OPCODES
  assert interpret(b'N' + b'q\x00' * (limit - 2) + b'.') is None
  with pytest.raises(ValueError, match=f'more than {limit} opcodes'):
    interpret(b'N' + b'q\x00' * (limit - 1) + b'.')
