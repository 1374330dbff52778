"""What several subcommands share."""

import io

from absl import flags
import numpy as np
from PIL import Image
import pytest

from coalesce_jax.cli import common
from coalesce_jax.cli.definitions import training
from coalesce_jax.methods import adaptation
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
