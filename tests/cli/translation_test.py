"""translate train, apply, evaluate: files in, files out, and refusals."""

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.export import export
from tests import small
from tests.cli import calls

NETWORK = [
  '--ngf=2', '--ndf=2', '--downs=1', '--n_layers_d=1', '--norm=none',
  '--batch_size=2', '--crop_size=8',
]  # fmt: skip


def pairs(folder, count=12):
  """A folder of pairs side by side: an image and its negative."""
  rng = np.random.default_rng(0)
  folder.mkdir()
  for k in range(count):
    image = rng.integers(0, 256, (8, 8, 3), np.uint8)
    both = np.concatenate([image, 255 - image], 1)
    Image.fromarray(both).save(folder / f'{k:02d}.png')
  return folder


@pytest.fixture(scope='module', name='trained')
def _trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp('translation')
  data = pairs(folder / 'data')
  return data, folder / 'model.safetensors'


@pytest.fixture(name='model')
def _model(trained, capsys):
  data, out = trained
  if not out.exists():
    code, result, error = calls.run(
      capsys, 'translate', 'train', f'--data={data}', '--steps=4',
      f'--out={out}', *NETWORK,
    )  # fmt: skip
    assert code == 0, error
    assert {'l1', 'psnr', 'ssim', 'bundle', 'examples'} <= result.keys()
    with Image.open(result['examples']) as image:
      assert image.width == 3 * 10 + 2
  return data, out


def test_a_model_is_trained_evaluated_and_applied(model, tmp_path, capsys):
  data, out = model
  code, result, _ = calls.run(
    capsys, 'translate', 'evaluate', f'--model={out}', f'--data={data}',
    '--crop_size=8', f'--out={tmp_path}/rows.png',
  )  # fmt: skip
  assert code == 0 and result['l1'] > 0.0 and (tmp_path / 'rows.png').exists()
  image = np.random.default_rng(1).integers(0, 256, (9, 14, 3), np.uint8)
  (tmp_path / 'in').mkdir()
  Image.fromarray(image).save(tmp_path / 'in' / 'x.png')
  for source, made, file in (
    ('in', 'out', 'out/x.png'), ('in/x.png', 'y.png', 'y.png'),
  ):  # fmt: skip
    code, result, error = calls.run(
      capsys, 'translate', 'apply', f'--model={out}',
      f'--input={tmp_path / source}', f'--out={tmp_path / made}',
    )  # fmt: skip
    assert code == 0, error
    with Image.open(tmp_path / file) as opened:
      found = np.asarray(opened)
    wanted = (np.asarray(cj.load(out)(image[None]))[0] + 1.0) * 127.5
    np.testing.assert_allclose(found, wanted, atol=0.51)


def test_the_same_command_writes_the_same_bytes(model, tmp_path, capsys):
  data, out = model
  again = tmp_path / 'again.safetensors'
  code, _, error = calls.run(
    capsys, 'translate', 'train', f'--data={data}', '--steps=4',
    f'--out={again}', *NETWORK,
  )  # fmt: skip
  assert code == 0, error
  assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
  ('flags', 'wanted'),
  [
    (['--method=cut', '--lambda_l1=3'], 'a setting of pix2pix, not of cut'),
    (['--crop_size=9', '--preprocess=crop'], 'smaller than crop_size 9x9'),
    (['--out={tmp}/x.png'], 'ends in .png'),
    (['--data={tmp}/nowhere'], 'nowhere'),
    (['--gan_mode=other'], 'gan_mode'),
    (['--n_layers_d=5'], 'patchgan'),
    (['--method=cut', '--net_g=unet'], 'must be'),
    (['--downs=9'], 'downs'),
  ],
)
def test_bad_usage_is_refused_in_one_line(
  trained, tmp_path, capsys, flags, wanted
):
  argv = [
    'translate', 'train', f'--data={trained[0]}',
    f'--out={tmp_path}/a.safetensors', *NETWORK,
    *(flag.format(tmp=tmp_path) for flag in flags),
  ]  # fmt: skip
  calls.refused(capsys, argv, wanted)
  assert not list(tmp_path.iterdir())


def test_a_translator_and_a_generator_do_not_take_each_others_place(
  model, tmp_path, capsys
):
  _, out = model
  other = tmp_path / 'node.safetensors'
  cj.save(other, small.generator(spec=small.IMAGES))
  argv = ['sample', f'--node={out}', f'--out={tmp_path}/a.png']
  calls.refused(capsys, argv, 'translates images')
  argv = [
    'translate', 'apply', f'--model={other}', f'--input={out.parent}/data',
    f'--out={tmp_path}/made',
  ]  # fmt: skip
  calls.refused(capsys, argv, 'makes images of latents')


def test_an_exported_translator_gives_the_same_pictures(
  model, tmp_path, capsys
):
  _, out = model
  program, source = tmp_path / 'model.onnx', tmp_path / 'x.png'
  code, result, error = calls.run(
    capsys, 'export', f'--node={out}', f'--out={program}'
  )
  assert code == 0, error
  assert result['weights'] == 'float32' and result['opset'] == 17
  image = np.random.default_rng(1).integers(0, 256, (9, 14, 3), np.uint8)
  Image.fromarray(image).save(source)
  wanted = (np.asarray(cj.load(out)(image[None]))[0] + 1.0) * 127.5
  for flags in ([], ['--backend=onnx']):
    code, _, error = calls.run(
      capsys, 'translate', 'apply', f'--model={program}', f'--input={source}',
      f'--out={tmp_path}/y.png', *flags,
    )  # fmt: skip
    assert code == 0, error
    with Image.open(tmp_path / 'y.png') as opened:
      found = np.asarray(opened)
    # One level of rounding, and the tolerance.
    assert np.abs(found - wanted).max() <= 0.5 + 127.5e-4
  argv = ['sample', '--backend=onnx', f'--node={program}', '--out=a.png']
  calls.refused(capsys, argv, 'model.onnx: translates images')


@pytest.mark.parametrize(
  ('name', 'flags', 'message'),
  [
    ('node.onnx', [], 'makes images of latents and translates none'),
    ('node.onnx', ['--backend=jax'], 'node.onnx'),
    ('none.onnx', [], 'none.onnx: no such file'),
    ('cut.onnx', [], 'cut.onnx: no ONNX file, or damaged'),
    ('node.safetensors', ['--backend=onnx'], 'a safetensors file'),
  ],
)
def test_what_translates_nothing_is_refused(
  tmp_path, capsys, name, flags, message
):
  made = small.drawn(small.PIXELS)
  cj.save(tmp_path / 'node.safetensors', made)
  export.write(tmp_path / 'node.onnx', made)
  data = (tmp_path / 'node.onnx').read_bytes()
  (tmp_path / 'cut.onnx').write_bytes(data[:-30])
  Image.new('RGB', (8, 8)).save(tmp_path / 'x.png')
  argv = [
    'translate', 'apply', f'--model={tmp_path / name}',
    f'--input={tmp_path}/x.png', f'--out={tmp_path}/made.png', *flags,
  ]  # fmt: skip
  calls.refused(capsys, argv, message)
  assert not (tmp_path / 'made.png').exists()


def test_a_translator_is_exported_in_bytes_but_not_in_two_bits(
  model, tmp_path, capsys
):
  _, out = model
  program = tmp_path / 'model.onnx'
  argv = ['export', f'--node={out}', f'--out={program}', '--weights=int2']
  calls.refused(capsys, argv, "it takes one of ['float32', 'int8']")
  assert not program.exists()
  code, result, error = calls.run(
    capsys, 'export', f'--node={out}', f'--out={program}', '--weights=int8'
  )
  assert code == 0, error
  assert result['weights'] == 'int8'
  assert result['max_difference'] <= result['tolerance'] == 1e-4


def test_commands_of_two_words_are_found_and_suggested(capsys):
  calls.refused(capsys, ['translate', 'aply'], 'did you mean translate apply?')
  calls.refused(capsys, ['translate'], 'translate')
  code = calls.main.main(['coalesce', 'translate', '--help'])
  assert code == 0
  text = capsys.readouterr().out
  assert 'translate train' in text and 'pretrain' not in text


@pytest.mark.slow
def test_pairs_may_begin_with_bright_pictures(tmp_path, capsys):
  pixels = np.random.default_rng(0).uniform(-1, 1, (12, 8, 8, 3))
  bright = np.abs(pixels[:10]) * 0.5 + 0.5
  both = np.concatenate([bright, pixels[10:]]).astype(np.float32)
  np.savez(tmp_path / 'pairs.npz', A=both, B=both)
  code, result, error = calls.run(
    capsys, 'translate', 'train', f'--data={tmp_path}/pairs.npz', '--steps=1',
    f'--out={tmp_path}/m.safetensors', *NETWORK,
  )  # fmt: skip
  assert code == 0 and result['l1'] > 0.0, error
