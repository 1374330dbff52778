"""pretrain, barycenter: stage by stage, bad settings."""

import pytest

import coalesce_jax as cj
from tests import small
from tests.cli import calls


@pytest.mark.slow
def test_stages_work_one_by_one(capsys, tmp_path):
  code, made, _ = calls.run(
    capsys, 'pretrain', '--dataset=digits', f'--out={tmp_path}', '--width=4',
    *calls.FEW,
  )  # fmt: skip
  assert code == 0 and len(made['bundles']) == 2
  assert made['classes'] == ['0,1,2,3,4', '5,6,7,8,9']
  provenance = cj.load(made['bundles'][1]).spec.provenance
  assert provenance['classes'] == '5,6,7,8,9'
  meta = tmp_path / 'meta.safetensors'
  code, result, _ = calls.run(
    capsys, 'barycenter', f'--nodes={",".join(made["bundles"])}',
    '--weights=0.25,0.75', '--method=recursive', '--new_generator',
    f'--out={meta}', *calls.FEW,
  )  # fmt: skip
  assert code == 0 and 'position' in result
  code, result, _ = calls.run(
    capsys, 'ternarize', f'--node={meta}',
    f'--local={calls.folder(tmp_path / "local")}',
    f'--out={tmp_path / "t.safetensors"}', *calls.FEW,
  )  # fmt: skip
  assert code == 0 and result['bytes'] < result['float_bytes']
  kept = tmp_path / 'kept.safetensors'
  code, result, _ = calls.run(
    capsys, 'mixture', f'--nodes={",".join(made["bundles"])}',
    '--weights=0.25,0.75', '--refine_steps=2', f'--out={kept}',
  )  # fmt: skip
  assert code == 0 and result['bytes'] == kept.stat().st_size
  code, _, error = calls.run(
    capsys, 'ternarize', f'--node={kept}', f'--local={tmp_path / "local"}',
    f'--out={tmp_path / "no.safetensors"}', *calls.FEW,
  )  # fmt: skip
  assert code == 2 and 'kept.safetensors: a mixture' in error
  grid = tmp_path / 'kept.png'
  code, _, _ = calls.run(capsys, 'sample', f'--node={kept}', f'--out={grid}')
  assert code == 0 and grid.exists()


@pytest.mark.slow
def test_a_folder_of_mixed_pictures_is_learned_by_the_names_of_its_classes(
  capsys, tmp_path
):
  for name, size in (('cat', 9), ('dog', 12)):
    (tmp_path / 'own').mkdir(exist_ok=True)
    calls.folder(tmp_path / 'own' / name, size=size)
  out = tmp_path / 'nodes'
  code, made, _ = calls.run(
    capsys, 'pretrain', f'--dataset={tmp_path / "own"}', '--channels=3',
    '--split=cat|dog->cat,dog', f'--out={out}', '--width=2', *calls.FEW,
  )  # fmt: skip
  assert code == 0 and made['classes'] == ['cat', 'dog']
  node = cj.load(made['bundles'][1])
  assert node.spec.image_shape == (8, 8, 3)
  assert node.spec.provenance['classes'] == 'dog'


@pytest.mark.parametrize(
  'argv,match',
  [
    (['--split=cat|bird->cat'], "'bird' is neither a class of 'cat', 'dog'"),
    ([], "no samples of class 2; there are 0, 1, which are cat, dog; name "
         "those of each node, such as --split='cat|dog->cat,dog'"),
    (['--image_size=big'], '--image_size: image size'),
    (['--image_size=50', '--split=cat|dog->cat'], 'dcgan makes images of'),
    (['--channels=4'], 'channels'),
    (['--split=one|dog->one'], 'node 0: 1 samples, at least 2'),
  ],
)  # fmt: skip
def test_data_that_cannot_be_learned_leave_nothing(
  capsys, tmp_path, argv, match
):
  (tmp_path / 'own').mkdir()
  calls.folder(tmp_path / 'own' / 'cat', count=3)
  calls.folder(tmp_path / 'own' / 'dog', count=3, size=20)
  if '--split=one|dog->one' in argv:
    calls.folder(tmp_path / 'own' / 'one', count=2)
  before = sorted(tmp_path.rglob('*'))
  calls.refused(
    capsys,
    ['pretrain', f'--dataset={tmp_path / "own"}', f'--out={tmp_path / "out"}',
     *argv],
    match,
  )  # fmt: skip
  assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
  'critic,more,match',
  [
    (False, ['--fixed_samples=9'], 'a.safetensors: no critic'),
    (True, [], 'fixed_samples'),
    (True, ['--fixed_samples=9', '--method=recursive'], "'joint' or 'mixture'"),
    (True, ['--fixed_samples=9', '--objective=ball'], 'needs radii'),
  ],
)
def test_refining_needs_critics_and_fixed_samples(
  capsys, tmp_path, critic, more, match
):
  paths = [tmp_path / f'{name}.safetensors' for name in 'ab']
  for i, path in enumerate(paths):
    made = small.generator(i, small.IMAGES)
    cj.save(path, made, critic=critic)
  code, _, error = calls.run(
    capsys, 'barycenter', f'--nodes={paths[0]},{paths[1]}', '--refine_steps=2',
    f'--out={tmp_path / "meta.safetensors"}', *more, *calls.FEW,
  )  # fmt: skip
  assert code == 2 and match in error
  assert sorted(tmp_path.iterdir()) == paths


def test_an_unwritable_result_exits_with_2(capsys, tmp_path):
  (tmp_path / 'file').write_text('')
  code, _, error = calls.run(
    capsys, 'pretrain', f'--out={tmp_path / "file" / "below"}', *calls.FEW
  )
  assert code == 2 and f'{tmp_path / "file"} is a file' in error


@pytest.mark.parametrize(
  'argv,match',
  [
    (['pretrain', '--out=a', '--critic_learning_rate=-1'],
     'critic_learning_rate=-1: it is not in [0, 10]'),
  ],
)  # fmt: skip
def test_bad_usage_exits_with_2_and_one_line(capsys, argv, match):
  calls.refused(capsys, argv, match)
