"""`coalesce share`: what a model hub gets of a bundle."""

import json
import os
import re

import jax
import numpy as np
import onnxruntime
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
  return values
