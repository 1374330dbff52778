"""What several subcommands share."""

import dataclasses
import io

from absl import flags
import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import common
from coalesce_jax.cli.definitions import training
from coalesce_jax.methods import adaptation
from coalesce_jax.models import generator as generator_lib
from tests import small
from tests.cli import calls


@pytest.mark.parametrize(
  'weights,match',
  [
    ('0.5,0.4', 'sum to 0.9'),
    ('1', '1 weights for 2'),
    ('a,b', 'not a number'),
  ],
)
def test_bad_weights_exit_with_2(capsys, tmp_path, weights, match):
  a, b = (
    calls.node(tmp_path / f'{k}.safetensors', i, small.PIXELS)
    for i, k in enumerate('ab')
  )
  local = calls.folder(tmp_path / 'local')
  before = sorted(tmp_path.rglob('*'))
  for rest in (
    ['mixture'], ['barycenter', *calls.FEW],
    ['adapt', f'--local={local}', *calls.FEW],
  ):  # fmt: skip
    code, _, error = calls.run(
      capsys, *rest, f'--nodes={a},{b}', f'--weights={weights}',
      f'--out={tmp_path / "meta.safetensors"}',
    )  # fmt: skip
    assert code == 2 and match in error
  assert sorted(tmp_path.rglob('*')) == before


# Every command that takes bundles, and the flag that names them.
TAKERS = [
  ('node', ['sample', '--out=x.png']),
  ('node', ['evaluate', '--images=digits']),
  ('node', ['export', '--out=x.onnx']),
  ('node', ['ternarize', '--local=l', '--out=x.safetensors']),
  ('nodes', ['mixture', '--out=x.safetensors']),
  ('nodes', ['barycenter', '--out=x.safetensors']),
  ('nodes', ['adapt', '--local=l', '--out=x.safetensors']),
]


@pytest.mark.parametrize(('flag', 'argv'), TAKERS)
def test_what_is_no_bundle_is_named_by_every_command(
  capsys, tmp_path, monkeypatch, flag, argv
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'nodes').mkdir()
  a, b = (calls.node(f'nodes/{k}.safetensors', 0, small.PIXELS) for k in 'ab')
  (tmp_path / 'a.png').write_bytes(common.png(np.zeros((8, 8, 1), np.uint8)))
  before = sorted(tmp_path.rglob('*'))
  command, *rest = argv
  calls.refused(
    capsys, [command, f'--{flag}=a.png', *rest],
    'a.png: an image; name a bundle, a .safetensors file',
  )  # fmt: skip
  which = 'name one of its bundles' if flag == 'node' else 'name its bundles'
  calls.refused(
    capsys, [command, f'--{flag}=nodes', *rest],
    f'--{flag}=nodes: a folder; {which}: --{flag}={a},{b}',
  )  # fmt: skip
  assert sorted(tmp_path.rglob('*')) == before


def test_judges_are_bundles_with_critics_like_that_of_the_first_node(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  calls.folder(tmp_path / 'l')
  a = calls.node('a.safetensors', 0, small.PIXELS)
  cj.save('b.safetensors', cj.load(a), critic=False)
  wider = generator_lib.freeze({'hidden': (8,)})
  calls.node(
    'c.safetensors', 0, dataclasses.replace(small.PIXELS, critic_options=wider)
  )
  calls.node('d.safetensors', 0, small.VECTORS)
  for judge, match in (
    ('l', '--judges=l: a folder; it holds no bundle'),
    ('b.safetensors', 'b.safetensors: no critic inside'),
    (
      'c.safetensors',
      "c.safetensors: no critic like that of a.safetensors, but 'mlp' "
      "{'hidden': (8,)} instead of 'mlp' {'hidden': (16,)}",
    ),
    (
      'd.safetensors',
      'd.safetensors: its critic takes points of R^2, a.safetensors makes '
      'images (8, 8, 1)',
    ),
  ):
    calls.refused(
      capsys,
      ['adapt', f'--nodes={a}', f'--judges={judge}', '--local=l',
       '--out=x.safetensors'],
      match,
    )  # fmt: skip
  assert not (tmp_path / 'x.safetensors.run').exists()


def test_bundles_that_do_not_fit_name_both_files(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  a = calls.node('a.safetensors', 0, small.PIXELS)
  b = calls.node('b.safetensors', 0, small.VECTORS)
  wide = dataclasses.replace(small.PIXELS, latent_size=5)
  c = calls.node('c.safetensors', 0, wide)
  t = 't.safetensors'
  cj.save(t, small.coded(small.drawn(small.PIXELS), 'layer', 1))
  cj.save('f.safetensors', cj.load(a), critic=False)
  for argv, match in (
    (['barycenter', f'--nodes={a},{b}'],
     'b.safetensors makes samples (2,), a.safetensors makes (8, 8, 1)'),
    (['mixture', f'--nodes={a},{c}'],
     'c.safetensors has latent_size 5, a.safetensors has 4'),
    (['mixture', f'--nodes={a},{t}'], 't.safetensors is ternary: a mixture'),
    (['mixture', f'--nodes={a},f.safetensors', '--refine_steps=2'],
     'f.safetensors: no critic, which --refine_steps needs; leave'),
  ):  # fmt: skip
    calls.refused(capsys, [*argv, '--out=x.safetensors'], match)


def test_a_bundle_of_vectors_says_what_it_makes(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  calls.folder(tmp_path / 'l')
  b = calls.node('b.safetensors', 0, small.VECTORS)
  for argv in (
    ['evaluate', f'--node={b}', '--images=l'],
    ['sample', f'--node={b}', '--out=x.png'],
    ['adapt', f'--nodes={b}', '--local=l', '--out=x.safetensors'],
    ['ternarize', f'--node={b}', '--local=l', '--out=x.safetensors'],
  ):
    calls.refused(
      capsys, argv, 'b.safetensors: makes points of R^2, not images; '
    )


def test_a_saved_bundle_says_its_bytes_with_and_without_critic(tmp_path):
  values = parsed('--seed=3')
  plain = small.generator(0, small.PIXELS)
  tiny = small.coded(small.drawn(small.PIXELS), 'layer', 1)
  tiny = tiny._replace(critic=plain.critic)
  for generator in (plain, tiny):
    found = {}
    for critic in (True, False):
      path = tmp_path / f'{critic}.safetensors'
      made = common.save(
        path, generator, 'adapt', values, 'digits', critic=critic
      )
      assert made['bundle'] == str(path)
      assert made['file_bytes'] == path.stat().st_size
      assert (cj.load(path).critic is not None) == critic
      found[critic] = made
    # `bytes` is the generator as it ships, whatever the file holds.
    assert found[False]['file_bytes'] == found[False]['bytes']
    assert found[True]['bytes'] == found[False]['bytes']
    assert found[True]['file_bytes'] > found[True]['bytes']


def test_bundles_without_critics_are_said_to_start_with_new_ones(caplog):
  nodes = [small.drawn(small.PIXELS), small.generator(0, small.PIXELS)]
  with caplog.at_level('INFO'):
    common.say_new_critics(['a.safetensors', 'b.safetensors'], nodes)
  assert caplog.messages == [
    'a.safetensors holds no critic: training starts with new critics'
  ]


def parsed(*arguments):
  values = flags.FlagValues()
  training.training(values, adaptation.Config())
  values(['any', *arguments])
  return values


def test_flags_change_the_settings_that_they_name():
  values = parsed(
    '--steps=84', '--batch_size=3', '--critic_steps=4',
    '--generator_batches=5', '--learning_rate=0.5',
    '--critic_learning_rate=0.25',
  )  # fmt: skip
  made = common.configured(values, adaptation.Config(), anchor=0.125)
  game = made.game
  assert (game.batch_size, game.critic_steps) == (3, 4)
  assert game.generator_batches == 5
  assert (game.learning_rate, game.critic_learning_rate) == (0.5, 0.25)
  # 21 divides 84 and is the largest such number up to the usual 25.
  assert (made.schedule.steps, made.schedule.chunk) == (84, 21)
  assert made.anchor == 0.125
  made = common.configured(
    values, adaptation.Config(), steps=6, game={'ema': 0.5},
    schedule={'patience': 2},
  )  # fmt: skip
  assert (made.schedule.steps, made.schedule.patience) == (6, 2)
  assert made.game.ema == 0.5 and made.game.objective == 'w1_squared'


@pytest.mark.parametrize('channels', [1, 3])
def test_a_png_holds_the_levels(channels):
  levels = np.arange(4 * 5 * channels, dtype=np.uint8).reshape(4, 5, channels)
  with Image.open(io.BytesIO(common.png(levels))) as image:
    read = np.asarray(image).reshape(levels.shape)
  np.testing.assert_array_equal(read, levels)


def test_digests_tell_files_apart(tmp_path):
  paths = []
  for name, text in (('a', 'x'), ('b', 'x'), ('c', 'y')):
    (tmp_path / name).write_text(text)
    paths.append(str(tmp_path / name))
  found = list(common.digests(paths).values())
  assert len(found) == 3 and found[0] == found[1] != found[2]
