"""Where a command writes is checked before it does anything."""

import pathlib

import numpy as np
import pytest

from coalesce_jax.cli import outputs
from coalesce_jax.data import images as images_lib
from tests import small
from tests.cli import calls


@pytest.mark.parametrize(
  ('name', 'match'),
  [
    ('folder', 'is a folder; name a file that ends in .safetensors'),
    ('edge.png', 'ends in .png, this command writes .safetensors'),
    ('edge', 'has no ending, this command writes .safetensors'),
    ('text/edge.safetensors', 'text is a file, not a folder'),
    ('closed/new/edge.safetensors', 'closed may not be written to'),
  ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path, name, match):
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'text').write_text('')
  closed(tmp_path)
  before = sorted(tmp_path.rglob('*'))
  with pytest.raises(ValueError, match=match) as caught:
    outputs.file('out', str(tmp_path / name), outputs.BUNDLE)
  assert str(caught.value).startswith(f'--out={tmp_path / name}: ')
  assert sorted(tmp_path.rglob('*')) == before


def closed(folder):
  """A folder that may not be written to; root may write everywhere."""
  path = folder / 'closed'
  path.mkdir(mode=0o500)
  probe = path / 'probe'
  try:
    probe.touch()
  except PermissionError:
    return
  probe.unlink()
  pytest.MonkeyPatch().setattr(
    'os.access', lambda p, mode: pathlib.Path(p).name != 'closed'
  )


def test_files_and_folders_are_told_apart_by_their_ending(tmp_path):
  endings = ('.png', '.npz')
  (tmp_path / 'v1.2').mkdir()
  for name in ('a.png', 'a.PNG', 'a.npz', 'many', 'new/many', 'v1.2'):
    path = str(tmp_path / name)
    assert outputs.file_or_folder('out', path, endings) == path
  for name, match in (
    ('grid.jpg', 'ends in .jpg, this command writes .png or .npz, or a folder'),
    ('x.npy', 'ends in .npy'),
    ('v1.3', 'ends in .3'),
  ):
    with pytest.raises(ValueError, match=match):
      outputs.file_or_folder('out', str(tmp_path / name), endings)
  (tmp_path / 'text').write_text('')
  with pytest.raises(ValueError, match='has no ending'):
    outputs.file_or_folder('out', str(tmp_path / 'text'), endings)


def test_a_folder_of_bundles_is_no_file(tmp_path):
  (tmp_path / 'text').write_text('')
  for name, match in (
    ('text', 'is a file; name a folder'),
    ('nodes.safetensors', 'several files; name a folder'),
    ('text/nodes', 'text is a file, not a folder'),
  ):
    with pytest.raises(ValueError, match=match):
      outputs.folder('out', str(tmp_path / name))
  path = str(tmp_path / 'new' / 'nodes')
  assert outputs.folder('out', path) == path
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize(
  ('argv', 'match'),
  [
    (['sample', '--node=n', '--out=grid.jpg'], '.jpg'),
    (['sample', '--node=n', '--out=x.npy'], '.npy'),
    (['export', '--node=n', '--out=x.safetensors'], 'writes .onnx'),
    (['export', '--node=n', '--format=stablehlo', '--out=x.onnx'], '.mlir'),
    (['mixture', '--nodes=a,b', '--out=x'], 'no ending'),
    (['barycenter', '--nodes=a,b', '--out=x.npz'], '.npz'),
    (['adapt', '--nodes=a,b', '--local=l', '--out=.'], 'is a folder'),
    (['ternarize', '--node=a', '--local=l', '--out=x.png'], '.png'),
    (['pretrain', '--out=x.safetensors'], 'name a folder'),
  ],
)
def test_commands_check_their_result_before_their_inputs(
  capsys, tmp_path, monkeypatch, argv, match
):
  monkeypatch.chdir(tmp_path)
  calls.refused(capsys, argv, match)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'argv',
  [
    ['sample', '--node=n', '--out=mine.png'],
    ['sample', '--node=n', '--out=mine.npz'],
    ['sample', '--node=n', '--out=mine'],
    ['export', '--node=n', '--out=mine.onnx'],
    ['export', '--node=n', '--format=stablehlo', '--out=mine.mlir'],
    ['export', '--node=n', '--format=stablehlo', '--out=new.mlir'],
    ['mixture', '--nodes=a,b', '--out=mine.safetensors'],
    ['barycenter', '--nodes=a,b', '--out=mine.safetensors'],
    ['adapt', '--nodes=a,b', '--local=l', '--out=mine.safetensors'],
    ['ternarize', '--node=a', '--local=l', '--out=mine.safetensors'],
    ['pretrain', '--out=nodes', '--steps=2'],
  ],
)
def test_what_others_wrote_is_not_replaced(capsys, tmp_path, monkeypatch, argv):
  monkeypatch.chdir(tmp_path)
  for folder, name in (('mine', '000001.png'), ('nodes', 'node_1.safetensors')):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / name).write_text('mine')
  for ending in ('.png', '.npz', '.onnx', '.mlir', '.safetensors'):
    (tmp_path / f'mine{ending}').write_text('mine')
  (tmp_path / 'new.mlir.json').write_text('mine')
  before = sorted(tmp_path.rglob('*'))
  calls.refused(capsys, argv, ' is no ')
  assert sorted(tmp_path.rglob('*')) == before
  assert {p.read_text() for p in before if p.is_file()} == {'mine'}


def test_samples_replace_samples_and_none_of_before_stay(capsys, tmp_path):
  node = calls.node(tmp_path / 'a.safetensors')
  for name in ('many', 'grid.png', 'all.npz'):
    for n in (9, 4):
      code, _, error = calls.run(
        capsys, 'sample', f'--node={node}', f'--n={n}',
        f'--out={tmp_path / name}',
      )  # fmt: skip
      assert code == 0, error
  names = sorted(p.name for p in (tmp_path / 'many').iterdir())
  assert names == [f'{i:06d}.png' for i in range(4)]
  images, _ = images_lib.load(tmp_path / 'many')
  np.testing.assert_array_equal(
    images, images_lib.load(tmp_path / 'all.npz').images
  )
  # One kind does not replace another.
  for name, other in (('grid.png', 'grid.npz'), ('all.npz', 'all.png')):
    (tmp_path / name).rename(tmp_path / other)
    calls.refused(
      capsys, ['sample', f'--node={node}', f'--out={tmp_path / other}'],
      'exists and is no',
    )  # fmt: skip


def test_results_are_written_into_devices(capsys, tmp_path):
  a, b = (calls.node(tmp_path / name, seed) for seed, name in enumerate('ab'))
  for argv in (
    ['mixture', f'--nodes={a},{b}', '--out=/dev/null'],
    ['sample', f'--node={a}', '--n=2', '--out=/dev/null'],
  ):
    code, _, error = calls.run(capsys, *argv)
    assert code == 0 and pathlib.Path('/dev/null').is_char_device(), error
  argv[-1] = '--out=/dev/full'
  code, _, error = calls.run(capsys, *argv)
  assert code and error == (
    'coalesce sample: /dev/full: No space left on device; free space and run '
    'the same command again'
  )


@pytest.mark.parametrize(
  ('argv', 'flag'),
  [
    (['mixture', '--nodes=a.safetensors,b.safetensors'], 'nodes'),
    (['barycenter', '--nodes=a.safetensors,b.safetensors'], 'nodes'),
    (['adapt', '--nodes=a.safetensors,b.safetensors', '--local=l'], 'nodes'),
    (['adapt', '--nodes=a.safetensors', '--judges=b.safetensors',
      '--local=l'], 'judges'),
    (['ternarize', '--node=b.safetensors', '--local=l'], 'node'),
  ],
)  # fmt: skip
@pytest.mark.parametrize('out', ['b.safetensors', 'link.safetensors'])
def test_a_bundle_that_is_read_is_not_replaced(
  capsys, tmp_path, monkeypatch, argv, flag, out
):
  monkeypatch.chdir(tmp_path)
  for name in 'ab':
    calls.node(f'{name}.safetensors', spec=small.PIXELS)
  (tmp_path / 'link.safetensors').symlink_to('b.safetensors')
  before = (tmp_path / 'b.safetensors').read_bytes()
  match = f'--out={out}: would replace a bundle that --{flag} reads; name'
  calls.refused(capsys, [*argv, f'--out={out}'], match)
  assert (tmp_path / 'b.safetensors').read_bytes() == before
  assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
  ('argv', 'match'),
  [
    (['adapt', '--nodes=a.safetensors', '--out=e.safetensors',
      '--workdir=e.safetensors'], 'e.safetensors: is the place of the result'),
    (['adapt', '--nodes=a.safetensors', '--out=e.safetensors',
      '--workdir=x/../e.safetensors/run'], 'is the place of the result'),
    (['adapt', '--nodes=a.safetensors', '--out=e.safetensors',
      '--workdir=local/'], 'local/: holds the images that are read'),
    (['ternarize', '--node=a.safetensors', '--out=e.safetensors',
      '--workdir=local'], 'holds the images that are read'),
  ],
)  # fmt: skip
def test_a_work_folder_is_no_result_and_no_folder_of_images(
  capsys, tmp_path, monkeypatch, argv, match
):
  monkeypatch.chdir(tmp_path)
  calls.node('a.safetensors', spec=small.PIXELS)
  calls.folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  calls.refused(capsys, [*argv, '--local=local', '--steps=2'], match)
  assert sorted(tmp_path.rglob('*')) == before


def test_the_images_and_bundles_of_nodes_are_no_work_folder(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  calls.folder(tmp_path / 'photos')
  before = sorted(tmp_path.rglob('*'))
  for workdir, match in (
    ('photos', 'holds the images that are read'),
    ('out/node_0.safetensors', 'is the place of the result'),
  ):
    argv = ['pretrain', '--dataset=photos', '--out=out', f'--workdir={workdir}']
    calls.refused(capsys, argv, match)
    assert sorted(tmp_path.rglob('*')) == before
