"""State dicts of PyTorch: read without running, refused where they differ."""

import io
import pickle
import struct

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from coalesce_jax.core import torch_state_dict

Leaf = torch_state_dict.Leaf

KINDS = {'<f4': b'FloatStorage', '<i8': b'LongStorage'}
DICT = b'ccollections\nOrderedDict\n)R'


def text(value):
  return b'X' + struct.pack('<I', len(value)) + value.encode()


def integer(value):
  return b'J' + struct.pack('<i', value)


def tensor(key, array, shape, strides, offset=0):
  return b''.join(
    [
      b'ctorch._utils\n_rebuild_tensor_v2\n((',
      text('storage') + b'ctorch\n' + KINDS[array.dtype.str] + b'\n',
      text(key) + text('cpu') + integer(array.size) + b'NtQ' + integer(offset),
      b'(' + b''.join(map(integer, shape)) + b't',
      b'(' + b''.join(map(integer, strides)) + b't\x89' + DICT + b'tR',
    ]
  )


def dense(array, key):
  strides = [n // array.itemsize for n in array.strides]
  return tensor(key, array, array.shape, strides)


def written(arrays, parts=None, keys=None, tail=b''):
  """A file as torch.save wrote it; `parts` replaces how tensors are made."""
  names = {name: str(i) for i, name in enumerate(arrays)}
  parts = parts or {n: dense(arrays[n], key) for n, key in names.items()}
  items = b''.join(text(name) + part for name, part in parts.items())
  state = b'\x80\x02' + DICT + b'(' + items + b'u}' + text('_metadata')
  state += b'}sb.'
  listed = b''.join(map(text, keys or names.values()))
  storages = b''.join(
    struct.pack('<q', a.size) + a.tobytes() for a in arrays.values()
  )
  return b''.join(
    [
      pickle.dumps(torch_state_dict.MAGIC, 2),
      pickle.dumps(torch_state_dict.PROTOCOL, 2),
      pickle.dumps({'little_endian': True, 'type_sizes': {'int': 4}}, 2),
      state,
      b'\x80\x02](' + listed + b'e.',
      storages,
      tail,
    ]
  )


ARRAYS = {
  'a.weight': np.arange(24, dtype='<f4').reshape(2, 3, 4),
  'a.bias': np.array([0.5, -1.0], '<f4'),
  'steps': np.array(7, '<i8'),
}
LEAVES = {n: Leaf(a.shape, a.dtype.str) for n, a in ARRAYS.items()}
DATA = written(ARRAYS)


def test_what_is_written_is_read():
  found = torch_state_dict.read(DATA, LEAVES)
  assert list(found) == list(ARRAYS)
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(found[name], array)
    assert found[name].dtype == array.dtype and not found[name].flags.writeable


def test_transposed_tensors_and_parts_of_a_storage_are_read():
  flat = np.arange(24, dtype='<f4')
  parts = {
    # Axes of one element have strides that mean nothing.
    'whole': tensor('0', flat, (4, 1, 6), (1, 99, 4)),
    'part': tensor('0', flat, (2, 3), (1, 2), offset=5),
  }
  leaves = {'whole': Leaf((4, 1, 6)), 'part': Leaf((2, 3))}
  found = torch_state_dict.read(written({'x': flat}, parts), leaves)
  np.testing.assert_array_equal(
    found['whole'], flat.reshape(6, 1, 4).transpose(2, 1, 0)
  )
  np.testing.assert_array_equal(
    found['part'], flat[5:11].reshape(3, 2).transpose()
  )


def test_files_of_pytorch_are_read():
  torch = pytest.importorskip('torch')
  state = {
    'a': torch.randn(3, 5).t(),
    'b': torch.randn(2, 1, 4),
    'n': torch.tensor(3),
  }
  file = io.BytesIO()
  torch.save(state, file, _use_new_zipfile_serialization=False)
  leaves = {'a': Leaf((5, 3)), 'b': Leaf((2, 1, 4)), 'n': Leaf((), '<i8')}
  found = torch_state_dict.read(file.getvalue(), leaves)
  for name, value in state.items():
    np.testing.assert_array_equal(found[name], value.numpy())


class Payload:
  """What runs a function when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (self.path, 'w')


@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('index', [0, 3])
def test_foreign_functions_are_refused_and_not_called(
  tmp_path, protocol, index
):
  path = tmp_path / 'called'
  head = [
    torch_state_dict.MAGIC,
    torch_state_dict.PROTOCOL,
    {'little_endian': True},
  ]
  parts = [pickle.dumps(x, 2) for x in head[:index]]
  parts.append(pickle.dumps(Payload(str(path)), protocol))
  with pytest.raises(ValueError, match='^state dict: .*refuses'):
    torch_state_dict.read(b''.join(parts), LEAVES)
  assert not path.exists()


def replaced(old, new):
  assert old in DATA
  return DATA.replace(old, new, 1)


BAD = {
  'zip format': (b'PK\x03\x04' + bytes(100), 'state dict'),
  'empty': (b'', 'state dict'),
  'another magic number': (
    pickle.dumps(1, 2) + pickle.dumps(2, 2), 'not a file of torch.save'
  ),
  'big-endian': (
    replaced(b'little_endianq\x01\x88', b'little_endianq\x01\x89'),
    'little-endian',
  ),
  'cut': (DATA[:-3], 'storages end at'),
  'cut early': (DATA[:-20], 'storages end at|ends before'),
  'longer': (DATA + b'x', 'storages end at'),
  'another count in the storage': (
    DATA[:-16] + struct.pack('<q', 1 << 40) + DATA[-8:], 'described as 1'
  ),
  'keys of other storages': (
    written(ARRAYS, keys=['0', '1', '1']), 'keys are not those'
  ),
  'keys missing': (written(ARRAYS, keys=['0', '1']), 'keys are not those'),
  'no tensor': (
    written(ARRAYS, {n: integer(1) for n in ARRAYS}), 'is no tensor'
  ),
  'another name': (
    written({'b.weight': ARRAYS['steps'], **ARRAYS}), 'b.weight.* not expected'
  ),
  'a name missing': (written({'steps': ARRAYS['steps']}), 'a.bias.* missing'),
  'another shape': (
    written(ARRAYS | {'a.bias': np.zeros(3, '<f4')}),
    r"'a.bias' is float32 \(3,\), expected float32 \(2,\)",
  ),
  'another dtype': (
    written(ARRAYS | {'a.bias': np.zeros(2, '<i8')}), "'a.bias' is int64"
  ),
  'not finite': (
    written(ARRAYS | {'a.bias': np.array([1, np.nan], '<f4')}), 'not all finite'
  ),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_bad_files_are_refused_in_one_line(name):
  data, message = BAD[name]
  with pytest.raises(ValueError, match=message) as caught:
    torch_state_dict.read(data, LEAVES)
  assert str(caught.value).startswith('state dict: ')
  assert '\n' not in str(caught.value) and len(str(caught.value)) < 230


@pytest.mark.parametrize(
  ('shape', 'strides', 'offset', 'message'),
  [
    ((2, 3), (0, 0), 0, 'not dense'),
    ((2, 3), (4, 1), 0, 'not dense'),
    ((2, 3), (3, 1), 1, 'beyond its storage'),
    ((2, 3), (3, 1), -1, 'kind that is not read'),
    ((2, 3), (3, -1), 0, 'kind that is not read'),
    ((2, 3), (1,), 0, 'kind that is not read'),
  ],
)
def test_tensors_that_overlap_or_reach_out_are_refused(
  shape, strides, offset, message
):
  flat = np.arange(6, dtype='<f4')
  parts = {'x': tensor('0', flat, shape, strides, offset)}
  with pytest.raises(ValueError, match=message):
    torch_state_dict.read(written({'x': flat}, parts), {'x': Leaf((2, 3))})


def test_a_storage_larger_than_the_file_takes_no_memory():
  huge = dense(ARRAYS['a.bias'], '0').replace(
    integer(2) + b'NtQ', integer(2**31 - 1) + b'NtQ'
  )
  data = written({'x': ARRAYS['a.bias']}, {'x': huge})
  with pytest.raises(ValueError, match='has 2 elements, described as 2147483'):
    torch_state_dict.read(data, {'x': Leaf((2,))})


def test_tuples_that_double_do_not_hang():
  # 2 ** 200 leaves if anything walks, prints or hashes it.
  value = b'N' + b'q\x00h\x00\x86' * 200
  for parts in (
    {n: value for n in ARRAYS},
    {'a.bias': dense(ARRAYS['a.bias'], '1').replace(integer(2) + b't', value)},
  ):
    with pytest.raises(ValueError):
      torch_state_dict.read(written(ARRAYS, parts), LEAVES)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(index, value):
  data = bytearray(DATA)
  data[index] = value
  try:
    found = torch_state_dict.read(bytes(data), LEAVES)
  except ValueError as error:
    assert '\n' not in str(error)
  else:
    assert {n: a.shape for n, a in found.items()} == {
      n: leaf.shape for n, leaf in LEAVES.items()
    }


@given(st.integers(0, len(DATA) - 1))
def test_a_cut_file_is_refused(length):
  with pytest.raises(ValueError):
    torch_state_dict.read(DATA[:length], LEAVES)
