"""`coalesce export`, sampling by ONNX Runtime, and the page about both."""

import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
from onnx import helper
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.export import export
from coalesce_jax.models import bundle as bundle_lib
from tests import small
from tests.cli import calls

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / 'docs' / 'guides' / 'device.md'
PAGE = ROOT / 'docs' / 'reference' / 'exported_files.md'


@pytest.fixture(scope='module', name='generator')
def _generator():
  return small.coded(small.drawn(small.IMAGES), 'channel', 1)


@pytest.fixture(name='bundle')
def _bundle(tmp_path, generator):
  path = tmp_path / 'edge.safetensors'
  cj.save(path, generator, critic=False)
  return path


@pytest.mark.parametrize(
  ('format', 'weights'),
  [('onnx', 'int2'), ('onnx', 'int4'), ('stablehlo', 'float32')],
)
def test_a_bundle_is_exported(capsys, tmp_path, bundle, format, weights):
  out = tmp_path / 'new' / f'edge.{format}'
  code, result, _ = calls.run(
    capsys, 'export', f'--node={bundle}', f'--format={format}',
    f'--weights={weights}', f'--out={out}',
  )  # fmt: skip
  assert code == 0
  assert 0.0 <= result.pop('max_difference') <= result['tolerance']
  assert result == {
    'out': str(out),
    'format': format,
    'weights': weights,
    'opset': {'int2': 25, 'int4': 21}.get(weights),
    'bytes': out.stat().st_size,
    'tolerance': export.FORMATS[format].tolerance,
  }
  digest = bundle_lib.inspect(bundle)['payload_sha256']
  text = out.read_bytes()
  if format == 'stablehlo':
    text = out.with_name(f'{out.name}.json').read_bytes()
  assert f'"source_sha256": "{digest}"'.encode() in text


def test_an_exported_file_is_sampled(capsys, tmp_path, bundle, generator):
  out = tmp_path / 'edge.onnx'
  code, result, _ = calls.run(
    capsys, 'export', f'--node={bundle}', f'--out={out}'
  )
  assert code == 0 and result['weights'] == 'int2'
  grid, array = tmp_path / 'g.png', tmp_path / 'x.npz'
  for target in (grid, array):
    code, result, _ = calls.run(
      capsys, 'sample', '--backend=onnx', f'--node={out}', '--n=9',
      '--seed=5', f'--out={target}',
    )  # fmt: skip
    assert code == 0 and result == {'out': str(target), 'n': 9}
  with Image.open(grid) as image:
    assert image.size == (28, 28)
  z = np.random.default_rng(5).standard_normal((9, 4), np.float32)
  expected = np.asarray(jax.jit(generator.network.apply)(generator.params, z))
  with np.load(array) as arrays:
    levels = arrays['images'].astype(np.float32)
  assert levels.shape == (9, 8, 8, 1)
  # One level of rounding, and the tolerance.
  assert np.abs(levels - (expected + 1.0) * 127.5).max() <= 0.5 + 127.5e-4


def test_a_mixture_is_exported_and_sampled(capsys, tmp_path):
  nodes = [
    calls.node(tmp_path / f'{k}.safetensors', k, small.PIXELS) for k in range(2)
  ]
  mixed, out = tmp_path / 'both.safetensors', tmp_path / 'both.onnx'
  named = f'--nodes={",".join(nodes)}'
  assert calls.run(capsys, 'mixture', named, f'--out={mixed}')[0] == 0
  code, result, _ = calls.run(
    capsys, 'export', f'--node={mixed}', f'--out={out}'
  )
  assert code == 0 and result['opset'] == 17
  code, _, _ = calls.run(
    capsys, 'sample', '--backend=onnx', f'--node={out}', '--n=4',
    f'--out={tmp_path / "x.png"}',
  )  # fmt: skip
  assert code == 0
  argv = ['mixture', named, f'--out={mixed}', '--refine_steps=2']
  assert calls.run(capsys, *argv)[0] == 0
  calls.refused(
    capsys, ['export', f'--node={mixed}', f'--out={tmp_path / "no.onnx"}'],
    'without --refine_steps',
  )  # fmt: skip
  assert not (tmp_path / 'no.onnx').exists()


def vectors(path):
  generator = small.drawn(small.VECTORS)
  export.write(path / 'edge.onnx', generator)


def cut(path):
  export.write(path / 'edge.onnx', small.drawn(small.IMAGES))
  data = (path / 'edge.onnx').read_bytes()
  (path / 'edge.onnx').write_bytes(data[:-30])


def foreign(path):
  graph = helper.make_graph([], 'foreign', [], [])
  model = helper.make_model(graph)
  (path / 'edge.onnx').write_bytes(model.SerializeToString())


def bundled(path):
  cj.save(path / 'edge.onnx', small.drawn(small.IMAGES), critic=False)


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (vectors, 'makes points of R^2, not images'),
    (cut, 'no ONNX file, or damaged'),
    (foreign, 'was not written by'),
    (bundled, 'JAX samples a bundle (--backend=jax)'),
    (lambda path: None, 'no such file'),
  ],
)
def test_what_cannot_be_sampled_exits_with_2(capsys, tmp_path, make, message):
  make(tmp_path)
  before = sorted(tmp_path.rglob('*'))
  code, _, error = calls.run(
    capsys, 'sample', '--backend=onnx', f'--node={tmp_path / "edge.onnx"}',
    f'--out={tmp_path / "x.png"}',
  )  # fmt: skip
  assert code == 2 and message in error and 'edge.onnx' in error
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
  ('argv', 'message'),
  [
    (['--format=tflite'], 'tflite'),
    (['--weights=int8'], 'int8'),
    (['--format=stablehlo', '--weights=int4'], 'int4'),
    (['--node=nowhere'], 'nowhere: no such file'),
    ([], 'edge.safetensors is a file'),
  ],
)
def test_what_cannot_be_exported_exits_with_2(
  capsys, tmp_path, bundle, argv, message
):
  # The last: a folder that cannot be, below a file.
  ending = 'mlir' if '--format=stablehlo' in argv else 'onnx'
  name = f'new/x.{ending}' if argv else 'edge.safetensors/x/y.onnx'
  code, _, error = calls.run(
    capsys, 'export', f'--node={bundle}', f'--out={tmp_path / name}', *argv
  )
  assert code == 2 and message in error and error.startswith('coalesce export')
  assert list(tmp_path.iterdir()) == [bundle]


def python(folder, blocked, *argv):
  """Runs Python where some packages cannot be imported."""
  lines = ['import sys', *(f'sys.modules[{n!r}] = None' for n in blocked)]
  (folder / 'sitecustomize.py').write_text('\n'.join(lines))
  root = str(ROOT)
  path = os.pathsep.join([str(folder), *([] if 'jax' in blocked else [root])])
  return subprocess.run(
    [sys.executable, *argv], cwd=folder, env={**os.environ, 'PYTHONPATH': path},
    capture_output=True, text=True, timeout=120,
  )  # fmt: skip


@pytest.mark.slow
def test_without_the_extra_all_but_export_works(tmp_path, bundle):
  program = (
    'from coalesce_jax.cli import main; import sys; '
    f'code = main.main(["coalesce", "sample", "--node={bundle}", "--n=1", '
    '"--out=x.png"]); assert code == 0; '
    f'argv = ["coalesce", "export", "--node={bundle}", "--out=y.onnx"]; '
    'sys.exit(main.main(argv))'
  )
  done = python(tmp_path, ['onnx', 'onnxruntime', 'flatbuffers'], '-c', program)
  assert done.returncode == 2
  *_, line = done.stderr.strip().splitlines()
  assert line == (
    "coalesce export: onnx is not installed: pip install 'coalesce_jax[export]'"
  )
  assert not (tmp_path / 'y.onnx').exists()


def program_of(page):
  """The one Python program of a page."""
  (program,) = re.findall(r'```python\n(.*?)```', page.read_text(), re.DOTALL)
  return program


def test_the_program_without_jax_gives_the_images_of_jax(tmp_path, generator):
  program = program_of(GUIDE)
  assert len([line for line in program.splitlines() if line.strip()]) <= 10
  export.write(tmp_path / 'edge.onnx', generator)
  (tmp_path / 'program.py').write_text(
    f"{program}\nnp.savez('samples.npz', z=z, images=images)\n"
  )
  blocked = ['jax', 'jaxlib', 'flax', 'coalesce_jax']
  for name in blocked:
    done = python(tmp_path, blocked, '-c', f'import {name}')
    assert f'import of {name} halted' in done.stderr
  done = python(tmp_path, blocked, 'program.py')
  assert done.returncode == 0, done.stderr
  with np.load(tmp_path / 'samples.npz') as arrays:
    z, images = arrays['z'], arrays['images']
  expected = np.asarray(jax.jit(generator.network.apply)(generator.params, z))
  assert images.shape == (16, 8, 8, 1) and np.std(expected, 0).max() > 0.02
  assert np.abs(images - expected).max() <= 1e-4


def test_the_program_with_stablehlo_gives_the_images_of_jax(
  tmp_path, generator, monkeypatch
):
  program = program_of(PAGE)
  monkeypatch.chdir(tmp_path)
  export.write('edge.stablehlo', generator, format='stablehlo')
  found = {}
  # The page's generator has 64 latents, this one 4.
  exec(program.replace('(16, 64)', '(16, 4)'), found)
  expected = jax.jit(generator.network.apply)(generator.params, found['z'])
  assert found['images'].shape == (16, 8, 8, 1)
  assert np.abs(found['images'] - expected).max() <= 1e-5


def test_the_page_names_what_a_description_holds(generator):
  metadata = export.build(generator).metadata
  rows = re.findall(r'^\| (`.*?) \|', PAGE.read_text(), re.MULTILINE)
  named = {name for row in rows for name in re.findall(r'`([a-z0-9_]+)`', row)}
  assert set(metadata) <= named
