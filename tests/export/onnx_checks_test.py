"""Files of translators that are run: our own, undamaged, and nothing else."""

import onnx
from onnx import helper
from onnx import numpy_helper
import pytest

from coalesce_jax.core import files
from coalesce_jax.export import export
from coalesce_jax.export import metadata as metadata_lib
from coalesce_jax.export import onnx_files
from coalesce_jax.export import onnx_translators
from coalesce_jax.models import generator as generator_lib
from tests import small


def drawn(network='unet', **options):
  options = {'width': 2, **options}
  spec = generator_lib.Spec(
    network, 0, (8, 12, 2), generator_lib.freeze(options),
    condition_shape=(8, 12, 3),
  )  # fmt: skip
  return small.drawn(spec)


def described(translator, weights='float32', change=lambda model, said: None):
  """The bytes of a file, without a run; a change comes with its digest."""
  model = onnx_translators.model(translator, weights)
  said = metadata_lib.make(
    translator.spec, b'', format='onnx', weights=weights, tolerance=1e-4,
    max_difference=0.0, source_sha256=None, packages=(),
  )  # fmt: skip
  change(model, said)
  program = model.SerializeToString()
  said['program_sha256'] = files.digest([program])
  return onnx_files.describe(program, said)


def read(folder, data):
  path = folder / 'a.onnx'
  path.write_bytes(data)
  return onnx_files.read(path, translator=True)


@pytest.mark.parametrize(
  ('network', 'options', 'sides'),
  [
    ('unet', {'downs': 2}, {'multiple': 4, 'padded': 4}),
    pytest.param(
      'unet', {'downs': 8}, {'multiple': 256, 'padded': 256},
      marks=pytest.mark.slow,
    ),
    ('resnet', {'blocks': 1}, {'multiple': 4, 'padded': 8}),
  ],
)  # fmt: skip
@pytest.mark.parametrize(
  ('norm', 'upsampling'),
  [
    ('instance', 'resize'), ('group', 'transposed'), ('layer', 'resize'),
    ('batch', 'transposed'), ('none', 'transposed'),
  ],
)  # fmt: skip
def test_files_of_every_network_are_read(
  tmp_path, network, options, sides, norm, upsampling
):
  # Maps of 12 channels are several groups.
  width = 12 if network == 'resnet' else 2
  made = drawn(
    network, norm=norm, upsampling=upsampling, width=width, **options
  )
  made = small.coded(made, 'channel', 2) if norm == 'layer' else made
  weights = {'layer': 'int2', 'batch': 'int8'}.get(norm, 'float32')
  _, said = read(tmp_path, described(made, weights))
  assert said['sides'] == {'least': 2, **sides}
  assert said['condition_shape'] == [8, 12, 3]
  assert said['image_shape'] == [8, 12, 2] and said['latent_size'] == 0


def first(model, operator):
  return next(n for n in model.graph.node if n.op_type == operator)


def tensor(model, name):
  return next(t for t in model.graph.initializer if t.name == name)


def endless(model, said):
  del said
  # Padding by a multiple of 2**40.
  for held in model.graph.initializer:
    if held.data_type == onnx.TensorProto.INT64 and not held.dims:
      value = numpy_helper.to_array(held)
      if value == 4:
        held.CopyFrom(numpy_helper.from_array(value << 40, held.name))


def counting(model, said):
  del said
  first(model, 'LeakyRelu').op_type = 'Range'


def uncropped(model, said):
  del said
  node = first(model, 'Slice')
  node.input[1] = node.input[2]


def bomb(model, said):
  del said
  node = first(model, 'ConvTranspose')
  (strides,) = (a for a in node.attribute if a.name == 'strides')
  strides.ints[:] = [10**5, 10**5]


def edges(model, said):
  del said
  (mode,) = (a for a in first(model, 'Pad').attribute if a.name == 'mode')
  mode.s = b'wrap'


def text(model, said):
  del said
  first(model, 'Conv').attribute.append(
    helper.make_attribute('auto_pad', 'SAME_UPPER')
  )


def twice(model, said):
  del said
  first(model, 'Tanh').output[0] = 'c0'


def several(model, said):
  del said
  first(model, 'Relu').output.append('another')


def empty(model, said):
  del said
  nodes = list(model.graph.node)
  ours = [n.op_type for n in nodes].index('Transpose') + 1
  del model.graph.node[:]
  model.graph.node.extend([*nodes[:ours], *nodes[-8:]])


def narrow(model, said):
  del said
  held = tensor(model, 'up_0/conv/kernel')
  value = numpy_helper.to_array(held)[:, :1]
  held.CopyFrom(numpy_helper.from_array(value, held.name))


def entry(**changes):
  return lambda model, said: said.update(changes)


SIDES = {'least': 2, 'multiple': 4, 'padded': 4}
BAD = {
  'endless': (endless, 'another way'),
  'counting': (counting, "operator 'Range'"),
  'uncropped': (uncropped, 'another way'),
  'bomb': (bomb, 'do not fit|unknown or excessive'),
  'text': (text, 'other attributes of Conv'),
  'twice': (twice, 'one name to two values'),
  'several': (several, 'without one output'),
  'empty': (empty, 'has no network'),
  'narrow': (narrow, 'do not fit'),
  'channels': (entry(condition_shape=[8, 12, 4]), 'inputs or outputs'),
  'results': (entry(image_shape=[8, 12, 1]), 'inputs or outputs'),
  'odd': (entry(sides={**SIDES, 'multiple': 3}), 'description is damaged'),
  'other': (entry(sides={**SIDES, 'multiple': 8}), 'description is damaged'),
  'padded': (entry(sides={**SIDES, 'padded': 8}), 'another way'),
  'negative': (entry(sides={**SIDES, 'least': -1}), 'description is damaged'),
  'many': (entry(sides={**SIDES, 'more': 1}), 'description is damaged'),
  'list': (entry(sides=[2, 4, 4]), 'description is damaged'),
  'latents': (entry(latent_size=3), 'description is damaged'),
  'flat': (entry(condition_shape=[8, 12]), 'description is damaged'),
}


@pytest.mark.parametrize('name', list(BAD))
def test_what_is_not_ours_is_refused_in_one_line(tmp_path, name):
  change, message = BAD[name]
  made = drawn(downs=2)
  # So that the refusal is due to the change.
  read(tmp_path, described(made))
  with pytest.raises(ValueError, match=message) as caught:
    read(tmp_path, described(made, change=change))
  text = str(caught.value)
  assert 'a.onnx' in text and '\n' not in text and len(text) < 300


def test_padding_of_maps_is_by_reflection(tmp_path):
  made = drawn('resnet', blocks=1)
  read(tmp_path, described(made))
  with pytest.raises(ValueError, match='other attributes of Pad'):
    read(tmp_path, described(made, change=edges))


def test_one_flipped_bit_is_noticed(tmp_path):
  data = bytearray(described(drawn(downs=2), 'int8'))
  data[len(data) // 3] ^= 4
  with pytest.raises(ValueError, match='damaged'):
    read(tmp_path, bytes(data))


def test_programs_of_the_other_kind_are_named(tmp_path):
  path = tmp_path / 'a.onnx'
  path.write_bytes(described(drawn(downs=1)))
  with pytest.raises(ValueError, match='`coalesce translate apply` runs it'):
    onnx_files.read(path)
  export.write(path, small.drawn(small.VECTORS))
  with pytest.raises(ValueError, match='of latents and translates none'):
    onnx_files.read(path, translator=True)
