"""`coalesce share`: what a model hub gets of a bundle."""

import json
import os
import re

import jax
import numpy as np
import onnxruntime
from PIL import Image
import pytest
import safetensors.numpy

import coalesce_jax as cj
from coalesce_jax.cli import sharing
from coalesce_jax.core import files
from coalesce_jax.models import bundle as bundle_lib
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.models import zoo
from tests import small
from tests.cli import calls

HIDDEN = generator_lib.freeze({'hidden': (16,)})
PROVENANCE = {
  'dataset': 'digits', 'classes': '0|1', 'stage': 'ternary', 'member': '1',
}  # fmt: skip


@pytest.fixture(scope='module', name='shared')
def _shared(tmp_path_factory):
  """A run with a ternary bundle, and the folder that is made of it."""
  folder = tmp_path_factory.mktemp('run')
  made = small.coded(small.drawn(small.PIXELS), 'channel', 1)
  critic = small.generator(1, small.PIXELS).critic
  spec = made.spec
  spec = generator_lib.Spec(**{
    **{name: getattr(spec, name) for name in spec.__dataclass_fields__},
    'provenance': PROVENANCE,
  })  # fmt: skip
  path = folder / 'bundles' / 'ternary_s1.safetensors'
  cj.save(path, made._replace(critic=critic, spec=spec))
  rows = {'ternary': {'frechet': [9.0, 12.5], 'kid': [1.0, None],
                      'bytes': [1, 2]}}  # fmt: skip
  (folder / 'scores.json').write_text(json.dumps(rows))
  return path, folder / 'out'


@pytest.fixture(name='once')
def _once(shared, capsys):
  path, out = shared
  code, result, error = calls.run(
    capsys, 'share', f'--node={path}', f'--out={out}', '--license=CC-BY-4.0'
  )
  assert code == 0, error
  return path, out, result


@pytest.fixture(scope='module', name='weights')
def _weights(tmp_path_factory):
  """Number of weights, counted in a file of all of them as float32."""
  path = tmp_path_factory.mktemp('float') / 'a.safetensors'
  cj.save(path, small.drawn(small.PIXELS))
  tensors = safetensors.numpy.load_file(path)
  return sum(tensor.size for tensor in tensors.values())


def test_a_hub_gets_the_bundle_without_its_critic_and_programs(once):
  path, out, result = once
  names = {
    'model.safetensors', 'config.json', 'README.md', 'model.onnx',
    'model_int4.onnx',
  }  # fmt: skip
  assert set(os.listdir(out)) == names
  assert {os.path.basename(each) for each in result['files']} == names
  loaded, whole = cj.load(out / 'model.safetensors'), cj.load(path)
  assert loaded.critic is None and whole.critic is not None
  key = jax.random.key(3)
  np.testing.assert_array_equal(loaded.sample(key, 2), whole.sample(key, 2))
  tensors = safetensors.numpy.load_file(out / 'model.safetensors')
  assert not any(name.startswith('critic/') for name in tensors)
  assert result['scores'] == {'frechet': 12.5}
  # A folder of this command is replaced, with its hidden files and others.
  (out / '.gitattributes').write_text('mine')


def test_the_configuration_describes_the_files(once, weights):
  path, out, _ = once
  config = json.loads((out / 'config.json').read_text())
  sizes = {name: (out / name).stat().st_size for name in config['files']}
  assert {k: v['bytes'] for k, v in config['files'].items()} == sizes
  for name, each in config['files'].items():
    assert each['sha256'] == files.sha256(out / name)
  assert config['parameters'] == weights
  assert config['provenance'] == PROVENANCE
  digest = bundle_lib.inspect(path)['payload_sha256']
  assert config['source_sha256'] == digest
  assert config['model_type'] == 'coalesce_jax'
  assert 'ternary' in config['encodings']


def test_the_card_is_true_and_its_programs_run(once, weights, monkeypatch):
  _, out, result = once
  card = (out / 'README.md').read_text()
  front = card.split('---\n')[1].splitlines()
  assert front[:2] == [
    'library_name: coalesce_jax', 'pipeline_tag: unconditional-image-generation'
  ]  # fmt: skip
  assert '- ternary' in front and front[-3:] == [
    'datasets:', '- "digits"', 'license: "cc-by-4.0"'
  ]  # fmt: skip
  assert '\nLicense: CC-BY-4.0.\n' in card
  assert f'It has {weights:,} weights, in a file of ' in card
  assert f'{result["bytes"]:,} bytes. Most of its weights are ternary.' in card
  assert '| frechet | 12.5 |' in card and 'kid' not in card
  assert '| classes | 0\\|1 |' in card and '| stage | ternary |' in card
  programs = re.findall(r'```python\n(.*?)```', card, re.DOTALL)
  monkeypatch.chdir(out)
  for program in programs:
    found = {}
    exec(program, found)
    assert found['samples'].shape == (64, 8, 8, 1)
  assert len(programs) == 2 and 'model_int4.onnx' in programs[1]
  z = np.random.default_rng(1).standard_normal((3, 4), np.float32)
  generator = cj.load('model.safetensors')
  wanted = generator.network.apply(generator.params, z)
  for name in ('model.onnx', 'model_int4.onnx'):
    session = onnxruntime.InferenceSession(name)
    np.testing.assert_allclose(
      session.run(None, {'z': z})[0], wanted, atol=1e-4
    )


def test_a_translator_is_shared_with_examples(tmp_path, capsys, monkeypatch):
  spec = generator_lib.Spec(
    'unet', 0, (8, 12, 1), generator_lib.freeze({'width': 2, 'downs': 1}),
    condition_shape=(8, 12, 3), provenance={'stage': 'translate pix2pix'},
  )  # fmt: skip
  node, out = tmp_path / 'model.safetensors', tmp_path / 'out'
  cj.save(node, small.drawn(spec))
  made, rng = cj.load(node), np.random.default_rng(0)
  (tmp_path / 'photos').mkdir()
  photos = [rng.integers(0, 256, (8, wide, 3), np.uint8) for wide in (6, 9)]
  for k, photo in enumerate(photos):
    Image.fromarray(photo).save(tmp_path / 'photos' / f'{k}.png')
  argv = ['share', f'--node={node}', f'--out={out}']
  code, result, error = calls.run(
    capsys, *argv, f'--pictures={tmp_path}/photos', '--license=mit'
  )
  assert code == 0, error
  assert sorted(os.listdir(out)) == [
    'README.md', 'config.json', 'example.png', 'model.onnx',
    'model.safetensors',
  ]  # fmt: skip
  with Image.open(out / 'example.png') as opened:
    sheet = np.asarray(opened)
  # Columns of 9 pixels, and 2 between.
  assert sheet.shape == (2 * 10 + 2, 2 * 11 + 2, 3)
  for k, photo in enumerate(photos):
    rows, wide = slice(2 + 10 * k, 10 + 10 * k), photo.shape[1]
    np.testing.assert_array_equal(sheet[rows, 2 : 2 + wide], photo)
    wanted = (np.asarray(made(photo[None]))[0] + 1.0) * 127.5
    found = sheet[rows, 13 : 13 + wide].astype(float)
    assert np.abs(found - wanted).max() <= 0.51
  config = json.loads((out / 'config.json').read_text())
  assert config['condition_shape'] == [8, 12, 3] and config['latent_size'] == 0
  card = (out / 'README.md').read_text()
  assert 'pipeline_tag: image-to-image' in card and 'barycenter' not in card
  assert 'network translates colour images to grey images. It was' in card
  assert '](example.png)' in card and '| stage | translate pix2pix |' in card
  monkeypatch.chdir(out)
  for program in re.findall(r'```python\n(.*?)```', card, re.DOTALL):
    found = {}
    exec(program, found)
    assert found['results'].shape == (1, 8, 12, 1)
  # Without pictures an earlier example goes.
  code, _, error = calls.run(capsys, *argv)
  assert code == 0 and not (out / 'example.png').exists(), error
  assert 'example.png' not in (out / 'README.md').read_text()


def test_pictures_that_cannot_be_shown_are_refused(tmp_path, capsys, shared):
  spec = generator_lib.Spec(
    'unet', 0, (8, 8, 1), generator_lib.freeze({'width': 2, 'downs': 1}),
    condition_shape=(8, 8, 2),
  )  # fmt: skip
  node, out = tmp_path / 'model.safetensors', tmp_path / 'out'
  cj.save(node, small.drawn(spec))
  photo = tmp_path / 'photo.png'
  Image.new('RGB', (8, 8)).save(photo)
  for bundle, source, match in (
    (node, photo, 'translates images of 2 channels to 1, and pictures have'),
    (shared[0], photo, 'makes images of latents and translates none; leave'),
    (node, tmp_path / 'none', 'images of 2 channels'),
  ):
    argv = [
      'share', f'--node={bundle}', f'--out={out}', f'--pictures={source}'
    ]  # fmt: skip
    calls.refused(capsys, argv, match)
  assert not out.exists()


def test_a_float_model_takes_the_place_of_a_ternary_one(once, tmp_path, capsys):
  _, out, _ = once
  (out / 'mine.txt').write_text('kept')
  node = tmp_path / 'points.safetensors'
  spec = generator_lib.Spec(
    'mlp', 2, (2,), HIDDEN, provenance={'dataset': 'a: [b', 'x': '`|\n<b>'}
  )
  cj.save(node, small.drawn(spec))
  code, result, error = calls.run(
    capsys, 'share', f'--node={node}', f'--out={out}'
  )
  assert code == 0, error
  assert result['scores'] == {} and not (out / 'model_int4.onnx').exists()
  assert (out / 'mine.txt').read_text() == 'kept'
  card = (out / 'README.md').read_text()
  assert '- "a: [b"' in card and '| x | \\`\\|\\n\\<b\\>' in card.replace(
    ' \\<b', '\\n\\<b'
  )
  assert 'No scores came with the bundle.' in card
  assert 'pipeline_tag' not in card and 'ternary' not in card
  assert 'makes points of 2 numbers of 2 normal random numbers' in card
  os.remove(out / 'mine.txt')


@pytest.mark.parametrize(
  'name', ['README.md', 'config.json', 'model.onnx', 'model.safetensors']
)
def test_files_of_others_are_never_replaced(tmp_path, capsys, shared, name):
  (tmp_path / name).write_text('{"mine": 1}')
  argv = ['share', f'--node={shared[0]}', f'--out={tmp_path}']
  calls.refused(capsys, argv, f'{name}: exists and is no')
  assert os.listdir(tmp_path) == [name]
  assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_what_cannot_be_shared_is_refused_in_one_line(
  tmp_path, capsys, shared, monkeypatch
):
  path, _ = shared
  own = tmp_path / 'own' / 'model.safetensors'
  cj.save(own, small.drawn(small.PIXELS))
  text = tmp_path / 'text.safetensors'
  text.write_text('hello')
  new = tmp_path / 'new'
  for node, out, match in (
    (tmp_path / 'none.safetensors', new, 'none.safetensors'),
    (text, new, 'text.safetensors'),
    (own, own.parent, 'would replace a bundle that --node reads'),
    (path, text, 'name a folder'),
    (tmp_path, new, 'a folder'),
  ):
    calls.refused(capsys, ['share', f'--node={node}', f'--out={out}'], match)
  argv = ['share', f'--node={path}', f'--out={new}', '--license=my own: x']
  calls.refused(capsys, argv, "license 'my own: x' is not a name such as")
  monkeypatch.setitem(__import__('sys').modules, 'onnx', None)
  calls.refused(
    capsys, ['share', f'--node={path}', f'--out={new}'],
    'ternary_s1.safetensors: cannot be shared: onnx is not installed: pip '
    "install 'coalesce_jax[export]'",
  )  # fmt: skip
  assert not new.exists()


def test_scores_of_the_zoo_are_known_and_those_of_other_bundles_are_not(
  shared, tmp_path
):
  path, _ = shared
  name, entry = next(iter(zoo.index().items()))
  values = sharing_values(f'zoo:{name}', tmp_path / 'zoo')
  assert sharing.share(values, lambda: False)['scores'] == entry['scores']
  assert 'No license is stated.' in (tmp_path / 'zoo' / 'README.md').read_text()
  # A bundle that was renamed, or whose scores are damaged, has none.
  other = path.with_name('other_s1.safetensors')
  other.write_bytes(path.read_bytes())
  values = sharing_values(str(other), tmp_path / 'other')
  assert sharing.share(values, lambda: False)['scores'] == {}


def sharing_values(node, out):
  values = type('Values', (), {})()
  values.node, values.out, values.license = zoo.path(node), str(out), None
  values.pictures = None
  return values
