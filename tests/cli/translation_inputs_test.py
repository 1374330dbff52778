"""Wrong input of the commands of translation: one line, and nothing written."""

import os

import jax
import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import main
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import translator as translator_lib
from tests import small

NETWORK = [
  '--ngf=2', '--ndf=2', '--downs=1', '--blocks=1', '--n_layers_d=1',
  '--batch_size=2', '--crop_size=8', '--steps=2',
]  # fmt: skip


def picture(path, wide=16, high=8, mode='RGB'):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new(mode, (wide, high), 50 if mode == 'L' else (50, 100, 200)).save(
    path
  )


def pictures(folder, count=4, **size):
  for k in range(count):
    picture(folder / f'{k}.png', **size)


def domains(data, names, **size):
  for name in names:
    pictures(data / name, **({'wide': 8} | size))


def cut(path):
  """Leaves the header and a part of the pixels."""
  path.write_bytes(path.read_bytes()[:-30])


def translator(path, channels=(3, 3)):
  spec = generator_lib.Spec(
    'unet', 0, (8, 8, channels[1]),
    generator_lib.freeze({'width': 2, 'downs': 1}),
    condition_shape=(8, 8, channels[0]),
  )  # fmt: skip
  network = spec.build()
  cj.save(
    path,
    translator_lib.Translator(network, network.init(jax.random.key(0)), spec),
  )


def contents(root):
  """The bytes of all files, by path, and all folders."""
  return {
    str(path): path.read_bytes() if path.is_file() else None
    for path in root.rglob('*')
  }


def refused(capsys, root, argv, match):
  """Asserts that a command gives one line, and that nothing is changed."""
  before = contents(root)
  code = main.main(['coalesce', 'translate', *argv, '--verbosity=-1'])
  captured = capsys.readouterr()
  (line,) = captured.err.splitlines()
  assert (code, captured.out) == (2, ''), line
  assert line.startswith(f'coalesce translate {argv[0]}: ') and match in line
  assert contents(root) == before


def unequal(data):
  domains(data, 'AB')
  (data / 'B' / '2.png').unlink()


def no_partner(data):
  domains(data, 'AB')
  (data / 'B' / '2.png').rename(data / 'B' / 'x.png')


def other_size(data):
  domains(data, 'AB')
  picture(data / 'B' / '2.png', 9)


def odd(data):
  pictures(data)
  picture(data / '2.png', 17)


def two_sizes(data):
  pictures(data)
  picture(data / '2.png', 20)


def empty_domain(data):
  domains(data, ['trainA'])
  (data / 'trainB').mkdir()


def one_domain(data):
  domains(data, ['trainA'])


def half_a_test(data):
  domains(data, ['trainA', 'trainB', 'testA'])


def empty_test(data):
  pictures(data / 'train')
  (data / 'test').mkdir()


def damaged(data):
  pictures(data)
  cut(data / '3.png')


def damaged_partner(data):
  domains(data, 'AB')
  cut(data / 'B' / '3.png')


def damaged_held_out(data):
  pictures(data / 'train')
  pictures(data / 'test')
  cut(data / 'test' / '3.png')


def no_picture(data):
  pictures(data)
  (data / '3.png').write_text('hello')


def empty_file(data):
  pictures(data)
  (data / '3.png').write_bytes(b'')


def grey_held_out(data):
  pictures(data / 'train')
  pictures(data / 'test', mode='L')


def grey_domain(data):
  domains(data, ['trainA'])
  domains(data, ['trainB'], mode='L')


def classes(data):
  pictures(data / 'cats')
  pictures(data / 'dogs')


def texts(data):
  (data / 'a.txt').write_text('x')


@pytest.mark.parametrize(
  ('make', 'match', 'flags'),
  [
    (unequal, 'data: 1 of 4 files of A have no partner of the same', ()),
    (no_partner, 'in B: 2; rename them', ()),
    (other_size, '/A/2.png: 8x8, but its partner', ()),
    (odd, '/2.png: 17 pixels wide, which two images side by side do', ()),
    (two_sizes, 'use resize_and_crop', ('--preprocess=none',)),
    (empty_domain, 'data/trainB: no PNG', ('--method=cut',)),
    (one_domain, 'data/trainB: no such folder; both', ('--method=cyclegan',)),
    (half_a_test, 'data/testB: no such folder', ('--method=cyclegan',)),
    (empty_test, 'data/test: no PNG', ()),
    (lambda data: None, 'images inside; the folder is empty', ()),
    (texts, 'it holds 1 .txt', ()),
    (damaged, '/3.png: not a readable image (image file is trunc', ()),
    (damaged_partner, '/B/3.png: not a readable image', ()),
    (damaged_held_out, '/test/3.png: not a readable image', ()),
    (no_picture, '/3.png: not a readable image (no PNG', ()),
    (empty_file, '/3.png: not a readable image (an empty file)', ()),
    (classes, 'pictures in folders named cats, dogs, but pairs are', ()),
    (lambda data: domains(data, ['testA', 'testB']), 'named testA, testB', ()),
    (lambda data: domains(data, ['trainA', 'trainB']), 'are not paired', ()),
    (lambda data: pictures(data, 1), 'one image cannot be split', ()),
    (grey_held_out, 'condition has 3 channels for training and 1 held', ()),
    (grey_domain, 'set lambda_identity to 0', ('--method=cyclegan',)),
    (grey_domain, 'CUT encodes images of both with one', ('--method=cut',)),
    (pictures, "'nothing': not one of fluent_outline", ('--data=nothing',)),
    (pictures, "'no_such' is not one of", ('--data=edges:no_such',)),
    (lambda data: pictures(data, high=1), 'larger images',
     ('--preprocess=none',)),
  ],
)  # fmt: skip
def test_wrong_pairs_are_refused_before_training(
  tmp_path, capsys, make, match, flags
):
  data = tmp_path / 'data'
  data.mkdir()
  make(data)
  argv = ['train', f'--data={data}', f'--out={tmp_path}/m.safetensors']
  refused(capsys, tmp_path, [*argv, *NETWORK, *flags], match)


IMAGES = np.zeros((4, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
  ('arrays', 'match'),
  [
    ({'X': IMAGES, 'B': IMAGES}, "no arrays 'A' and 'B'"),
    ({'A': IMAGES, 'B': IMAGES[:3]}, '4 images A and 3 images B'),
    ({'A': IMAGES, 'B': IMAGES[:, :7]}, 'A has images of 8x8, B of 7x8'),
    ({'A': IMAGES[0, 0], 'B': IMAGES}, 'A: shape (8, 3) is not'),
    ({'A': IMAGES + np.nan, 'B': IMAGES}, 'A: 768 NaN'),
    ({'A': IMAGES + 700.0, 'B': IMAGES}, 'A: values are float64 from 700'),
    ({'A': np.array([{}] * 4), 'B': IMAGES}, 'holds Python objects'),
    ({'A': IMAGES.transpose(0, 3, 1, 2), 'B': IMAGES}, 'A: shape (4, 3, 8, 8)'),
    (None, 'damaged'),
  ],
)
def test_wrong_arrays_are_refused_before_training(
  tmp_path, capsys, arrays, match
):
  path = tmp_path / 'pairs.npz'
  path.write_text('none')
  if arrays is not None:
    np.savez(path, **arrays)
  argv = ['train', f'--data={path}', f'--out={tmp_path}/m.safetensors']
  refused(capsys, tmp_path, [*argv, *NETWORK], f'pairs.npz: {match}')


def thin(data):
  pictures(data)
  picture(data / '1.png', high=1)


def one_name(data):
  pictures(data)
  Image.new('RGB', (8, 8)).save(data / '2.jpg')


def folder_of_the_name(data):
  picture(data / 'a.jpg')
  picture(data / 'a.png' / 'x.png')


def theirs(data):
  pictures(data)
  picture(data.parent / 'made' / '3.png')


def pipe(data):
  os.mkfifo(data / 'x.png')


@pytest.mark.parametrize(
  ('make', 'match', 'flags'),
  [
    (damaged, '/3.png: not a readable image', ()),
    (no_picture, '/3.png: not a readable image', ()),
    (thin, '/1.png: 1x16 pixels, at least 2 a side are needed', ()),
    (lambda data: None, 'the folder is empty', ()),
    (one_name, 'two files named 2, with other endings; rename one', ()),
    (folder_of_the_name, 'a.png/x.png: would be in a folder of the name', ()),
    (theirs, 'made/3.png: exists and is no PNG image of this program', ()),
    (pictures, '/none: no such file or folder', ('--input={data}/none',)),
    (pictures, 'has no ending, this command', ('--input={data}/1.png',)),
    (pipe, 'x.png: neither a folder nor', ('--input={data}/x.png',)),
    (pictures, 'makes images of latents', ('--model={root}/node.safetensors',)),
    (pictures, 'images of 2 channels to 3',
     ('--model={root}/two.safetensors',)),
    (pictures, 'images of 3 channels to 5',
     ('--model={root}/five.safetensors',)),
    (pictures, 'none.safetensors: no such file',
     ('--model={root}/none.safetensors',)),
    (pictures, '1.png: an image; name a bundle', ('--model={data}/1.png',)),
  ],
)  # fmt: skip
def test_wrong_pictures_and_bundles_are_not_applied(
  tmp_path, capsys, make, match, flags
):
  data = tmp_path / 'data'
  data.mkdir()
  make(data)
  translator(tmp_path / 'model.safetensors')
  translator(tmp_path / 'two.safetensors', (2, 3))
  translator(tmp_path / 'five.safetensors', (3, 5))
  cj.save(tmp_path / 'node.safetensors', small.generator(spec=small.IMAGES))
  argv = [
    'apply', f'--model={tmp_path}/model.safetensors', f'--input={data}',
    f'--out={tmp_path}/made',
    *(flag.format(data=data, root=tmp_path) for flag in flags),
  ]  # fmt: skip
  refused(capsys, tmp_path, argv, match)


def deep(data):
  np.savez(data / 'x.npz', A=np.zeros((4, 8, 8, 2), np.uint8), B=IMAGES)


@pytest.mark.parametrize(
  ('make', 'match', 'flags'),
  [
    (damaged, '/3.png: not a readable image', ()),
    (no_partner, 'in B: 2; rename them', ()),
    (classes, 'pictures in folders named cats, dogs', ()),
    (lambda data: pictures(data, high=1), 'images of 1x8 pixels',
     ('--preprocess=none',)),
    (deep, 'images of 2 channels and targets of 3, and',
     ('--data={data}/x.npz',)),
    (pictures, 'makes images of latents', ('--model={root}/node.safetensors',)),
    (pictures, 'ends in .jpg', ('--out={root}/x.jpg',)),
  ],
)  # fmt: skip
def test_wrong_pairs_and_bundles_are_not_evaluated(
  tmp_path, capsys, make, match, flags
):
  data = tmp_path / 'data'
  data.mkdir()
  make(data)
  translator(tmp_path / 'model.safetensors')
  cj.save(tmp_path / 'node.safetensors', small.generator(spec=small.IMAGES))
  argv = [
    'evaluate', f'--model={tmp_path}/model.safetensors', f'--data={data}',
    '--crop_size=8', f'--out={tmp_path}/rows.png',
    *(flag.format(data=data, root=tmp_path) for flag in flags),
  ]  # fmt: skip
  refused(capsys, tmp_path, argv, match)


def test_pictures_get_the_channels_of_the_model(tmp_path, capsys):
  pictures(tmp_path / 'data', mode='L')
  translator(tmp_path / 'model.safetensors')
  code = main.main(
    ['coalesce', 'translate', 'evaluate', f'--data={tmp_path}/data',
     f'--model={tmp_path}/model.safetensors', '--crop_size=8']
  )  # fmt: skip
  captured = capsys.readouterr()
  assert code == 0 and '"l1"' in captured.out, captured.err
