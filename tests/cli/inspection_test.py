"""sample, evaluate, data."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from tests import small
from tests.cli import calls


def absurd(path, size):
  """Writes a bundle of finite parameters that no samples come out of."""
  node = small.generator(0, small.IMAGES)
  params = jax.tree.map(lambda leaf: jnp.full_like(leaf, size), node.params)
  cj.save(path, node._replace(params=params))
  return str(path)


def size(path):
  """Width and height of a picture."""
  with Image.open(path) as image:
    return image.size


def test_features_are_trained_on_labelled_images_and_kept(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  a = calls.node(tmp_path / 'a.safetensors')
  (tmp_path / 'mine').mkdir()
  for name in ('one', 'two'):
    calls.folder(tmp_path / 'mine' / name)
  local = calls.folder(tmp_path / 'held_out', count=20)
  argv = ['evaluate', f'--node={a}', f'--images={local}']
  code, scores, _ = calls.run(capsys, *argv, f'--labelled={tmp_path / "mine"}')
  assert code == 0 and scores['features'].startswith('own64-')
  assert len(list((tmp_path / 'cache').rglob('features-*.npz'))) == 1
  code, _, error = calls.run(capsys, *argv, f'--labelled={local}')
  assert code == 2 and 'no labels' in error


def test_a_data_set_is_described(capsys):
  code, summary, _ = calls.run(capsys, 'data', '--dataset=digits')
  assert code == 0 and sum(summary['train']['classes']) == 1442


def test_a_folder_is_described_with_the_shape_that_is_wanted(capsys, tmp_path):
  for name, size in (('cat', 20), ('dog', 40)):
    calls.folder(tmp_path / name, count=5, size=size)
  argv = ['data', f'--dataset={tmp_path}']
  code, row, _ = calls.run(capsys, *argv)
  assert code == 0 and row['train']['shape'] == [8, 32, 32, 1]
  assert row['names'] == {'cat': 0, 'dog': 1}
  code, row, _ = calls.run(capsys, *argv, '--image_size=6x7', '--channels=3')
  assert code == 0 and row['test']['shape'] == [2, 6, 7, 3]


def test_a_preview_of_images_is_written(capsys, tmp_path):
  out = tmp_path / 'grid.png'
  code, row, _ = calls.run(
    capsys, 'data', '--dataset=digits', f'--preview={out}'
  )
  assert code == 0 and row['preview'] == str(out)
  # 64 images of 8 pixels with a gap of one.
  assert size(out) == (73, 73)
  calls.refused(capsys, ['data', '--dataset=digits', '--preview=a.jpg'], '.png')


def test_pairs_are_described_and_shown_side_by_side(capsys, tmp_path):
  for domain in ('A', 'B'):
    (tmp_path / 'maps').mkdir(exist_ok=True)
    calls.folder(tmp_path / 'maps' / domain, count=12, size=9)
  argv = ['data', f'--dataset={tmp_path / "maps"}', '--image_size=8']
  code, row, _ = calls.run(capsys, *argv, f'--preview={tmp_path / "a.png"}')
  assert code == 0 and row['layout'].startswith('aligned: folders A and B')
  count = row['train']['condition'][0]
  assert row['train']['target'] == [count, 8, 8, 1]
  assert row['held_out']['condition'] == [12 - count, 8, 8, 1]
  assert row['file_sizes'] == {'9x9': 24} and row['licence'] is None
  # 12 cells in four columns and three rows.
  assert size(tmp_path / 'a.png') == (4 * 17 + 1, 3 * 9 + 1)


def test_a_layout_and_derived_pairs_are_taken(capsys, tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'wide').mkdir()
  for k in range(5):
    pixels = rng.integers(0, 256, (8, 16), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'wide' / f'{k}.png')
  argv = ['data', f'--dataset={tmp_path / "wide"}', '--image_size=8']
  code, row, _ = calls.run(capsys, *argv)
  assert code == 0 and row['train']['shape'] == [4, 8, 8, 1]
  code, row, _ = calls.run(capsys, *argv, '--layout=aligned')
  assert code == 0 and 'A|B' in row['layout']
  code, row, _ = calls.run(capsys, 'data', '--dataset=edges:digits')
  assert code == 0 and row['train']['condition'] == [1442, 8, 8, 1]
  calls.refused(capsys, ['data', '--dataset=edges:nope'], 'nope')


def test_held_out_images_may_lie_at_any_depth(capsys, tmp_path):
  a = calls.node(tmp_path / 'a.safetensors')
  calls.folder(tmp_path / 'images', count=10)
  calls.folder(tmp_path / 'images' / 'more', count=9)
  argv = ['evaluate', f'--node={a}', f'--images={tmp_path / "images"}']
  code, _, error = calls.run(capsys, *argv)
  assert code == 2 and 'images (19, 8, 8, 1): at least 20' in error
  code, _, error = calls.run(
    capsys, *argv[:2], '--images=digits', f'--local={tmp_path / "images"}'
  )
  assert code == 0


@pytest.mark.parametrize(
  'argv,match',
  [
    (['sample', '--node=a', '--out=b', '--n=x'], 'n'),
    (['sample', '--node=/nowhere/a', '--out=b'], 'no such file'),
    (['data', '--dataset=nope'], 'nope'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)


@pytest.mark.parametrize(
  'size,match', [(1e30, 'not finite'), (1e4, 'every pixel')]
)
def test_bundles_without_usable_samples_are_refused(
  capsys, tmp_path, size, match
):
  bad = absurd(tmp_path / 'bad.safetensors', size)
  good = calls.node(tmp_path / 'good.safetensors')
  images = calls.folder(tmp_path / 'images', count=20)
  out = tmp_path / 'out'
  edge = f'--out={out}.safetensors'
  for argv in (
    ['sample', f'--node={bad}', f'--out={out}.png'],
    ['evaluate', f'--node={bad}', f'--images={images}'],
    ['export', f'--node={bad}', '--format=stablehlo', f'--out={out}.mlir'],
    ['barycenter', f'--nodes={good},{bad}', edge, *calls.FEW],
    ['adapt', f'--nodes={bad}', f'--local={images}', edge],
    ['ternarize', f'--node={bad}', f'--local={images}', edge],
  ):
    calls.refused(capsys, argv, match)
    calls.refused(capsys, argv, bad)
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    'bad.safetensors', 'good.safetensors', 'images',
  ]  # fmt: skip


@pytest.mark.parametrize('samples', [0, -3, 5, 10**9])
def test_numbers_of_samples_without_a_score_are_refused(
  capsys, tmp_path, samples
):
  node = calls.node(tmp_path / 'a.safetensors')
  images = calls.folder(tmp_path / 'images', count=20)
  argv = ['evaluate', f'--node={node}', f'--images={images}']
  calls.refused(
    capsys,
    [*argv, f'--samples={samples}'],
    f'--samples={samples}: it is not in [6, 1000000]',
  )


def test_scores_without_a_value_are_null(capsys, tmp_path):
  node = calls.node(tmp_path / 'a.safetensors')
  images = calls.folder(tmp_path / 'images', count=20)
  code, scores, _ = calls.run(
    capsys, 'evaluate', f'--node={node}', f'--images={images}',
    f'--local={images}', '--samples=6',
  )  # fmt: skip
  assert code == 0 and scores['memorisation'] is None
  assert np.isfinite(scores['copied'])


def test_commands_that_train_nothing_say_what_they_do(capsys, tmp_path, caplog):
  node = calls.node(tmp_path / 'a.safetensors', spec=small.PIXELS)
  for argv, said in (
    (['sample', '--n=3', f'--out={tmp_path}/x.png'],
     ['drawing 3 samples', f'writing {tmp_path}/x.png']),
    (['export', '--format=stablehlo', f'--out={tmp_path}/x.mlir'],
     [f'exporting {node}']),
    (['evaluate', '--images=digits', '--samples=9'], [f'evaluating {node}']),
  ):  # fmt: skip
    caplog.clear()
    assert calls.run(capsys, *argv, f'--node={node}')[0] == 0
    assert [row for row in caplog.messages if row in said] == said
