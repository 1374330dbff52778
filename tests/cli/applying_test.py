"""translate apply: folders of any size, and results that appear together."""

import tracemalloc

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.models import generator as generator_lib
from tests import small
from tests.cli import calls

SIDE, COUNT = 128, 60


def translator(path, **options):
  options = {'width': 2, 'downs': 1, **options}
  spec = generator_lib.Spec(
    'unet', 0, (8, 8, 3), generator_lib.freeze(options),
    condition_shape=(8, 8, 3),
  )  # fmt: skip
  made = small.drawn(spec)
  cj.save(path, made)
  return cj.load(path)


def picture(path, k, size=(SIDE, SIDE)):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', size, (k, 2 * k, 3 * k)).save(path)


def check(file, made, k, size=(SIDE, SIDE)):
  """Asserts that a file is the translation of a picture."""
  with Image.open(file) as opened:
    found = np.asarray(opened)
  image = np.full((1, size[1], size[0], 3), (k, 2 * k, 3 * k), np.uint8)
  wanted = (np.asarray(made(image))[0] + 1.0) * 127.5
  np.testing.assert_allclose(found, wanted, atol=0.51)


def apply(capsys, root, source):
  code, result, error = calls.run(
    capsys, 'translate', 'apply', f'--model={root}/model.safetensors',
    f'--input={source}', f'--out={root}/made',
  )  # fmt: skip
  assert code == 0, error
  return result


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, capsys):
  made = translator(tmp_path / 'model.safetensors')
  picture(tmp_path / 'one' / 'x.png', 0)
  for k in range(COUNT):
    picture(tmp_path / 'many' / 'deep' / f'{k}.png', k)
  apply(capsys, tmp_path, tmp_path / 'one')  # It is compiled.
  (tmp_path / 'made' / 'mine.txt').write_text('kept')
  tracemalloc.start()
  result = apply(capsys, tmp_path, tmp_path / 'many')
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert result['pictures'] == COUNT
  # Levels of one picture, and a few copies of it as floats.
  assert peak < COUNT * SIDE * SIDE * 3 / 2
  for name, k in (('deep/7', 7), ('deep/59', 59), ('x', 0)):
    check(tmp_path / 'made' / f'{name}.png', made, k)
  assert (tmp_path / 'made' / 'mine.txt').read_text() == 'kept'


def test_norm_batch_sees_one_picture_at_a_time(tmp_path, capsys):
  made = translator(tmp_path / 'model.safetensors', norm='batch', downs=2)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
  # Others change what a batch makes of an image.
  levels = images / np.float32(127.5) - 1.0
  together = np.asarray(made.network.apply(made.params, levels))
  (tmp_path / 'many').mkdir()
  for k, image in enumerate(images):
    Image.fromarray(image).save(tmp_path / 'many' / f'{k}.png')
  apply(capsys, tmp_path, tmp_path / 'many')
  for k in range(3):
    with Image.open(tmp_path / 'made' / f'{k}.png') as opened:
      found = np.asarray(opened) / 127.5 - 1.0
    alone = np.asarray(made.network.apply(made.params, levels[k : k + 1]))[0]
    np.testing.assert_allclose(found, alone, atol=0.51 / 127.5)
    assert np.abs(found - together[k]).max() > 4 / 127.5


@pytest.mark.slow
def test_pictures_of_many_sizes_are_translated(tmp_path, capsys):
  made = translator(tmp_path / 'model.safetensors')
  # More programs than are kept.
  sizes = {f'{(7 * k) % 20:02d}': (2 * k + 2, 40 - 2 * k) for k in range(20)}
  for name, size in sizes.items():
    picture(tmp_path / 'many' / f'{name}.png', 5, size)
  result = apply(capsys, tmp_path, tmp_path / 'many')
  assert result['pictures'] == len(sizes) == 20
  for name, size in sizes.items():
    check(tmp_path / 'made' / f'{name}.png', made, 5, size)
