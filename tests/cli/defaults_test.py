"""One set of defaults: dataclasses, commands and configurations agree."""

import dataclasses

from absl import flags
import jax
import numpy as np
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import commands
from coalesce_jax.cli import common
from coalesce_jax.cli import main
from coalesce_jax.data import images as images_lib
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import pretraining
from tests import small

STAGES = {
  'pretrain': pretraining.Config(),
  'barycenter': barycenter.Config(),
  'adapt': adaptation.Config(),
  'ternarize': adaptation.TERNARIZE,
}


@pytest.mark.parametrize('name', STAGES)
def test_flags_that_are_not_given_change_nothing(name):
  values = flags.FlagValues()
  commands.TABLE[name].define(values)
  values.mark_as_parsed()
  assert common.configured(values, STAGES[name]) == STAGES[name]
  for flag in ('augment', 'anchor'):
    if flag in values:
      owner = STAGES[name].game if flag == 'augment' else STAGES[name]
      assert values[flag].value == getattr(owner, flag)
  for flag, stage in (('barycenter_steps', 'barycenter'),
                      ('ternary_steps', 'ternarize')):  # fmt: skip
    if flag in values:
      assert values[flag].value == STAGES[stage].schedule.steps


def test_rates_fall_to_zero_where_a_stage_says_so():
  assert pretraining.Config().decay and barycenter.Config().decay
  assert adaptation.TERNARIZE.decay and not adaptation.Config().decay


def test_kernels_of_perceptrons_all_become_ternary():
  found = adaptation.ternarize_default(small.VECTORS)
  assert found.ternary.leaves == ('.*/kernel',) and not found.game.augment
  found = adaptation.ternarize_default(small.IMAGES)
  assert found == adaptation.TERNARIZE


def shorter(config):
  """The settings of a stage for a run of few steps, as the flags below say."""
  return dataclasses.replace(
    config,
    game=dataclasses.replace(config.game, batch_size=8, critic_steps=1),
    schedule=dataclasses.replace(config.schedule, steps=4, chunk=2),
  )


@pytest.mark.slow
def test_the_command_and_the_python_of_the_readme_give_the_same_weights(
  tmp_path, capsys
):
  paths = [str(tmp_path / f'{k}.safetensors') for k in 'ab']
  for k, path in enumerate(paths):
    cj.save(path, small.generator(k, small.PIXELS))
  folder, out = tmp_path / 'local.npy', str(tmp_path / 'edge.safetensors')
  np.save(folder, small.images(12))
  assert not main.main(
    [
      'coalesce', 'adapt', f'--nodes={",".join(paths)}', f'--local={folder}',
      f'--out={out}', '--ternary', '--batch_size=8', '--critic_steps=1',
      '--steps=4', '--barycenter_steps=4', '--ternary_steps=4',
    ]
  )  # fmt: skip
  capsys.readouterr()
  key_meta, key_edge, key_small = jax.random.split(jax.random.key(0), 3)
  nodes = [cj.load(path) for path in paths]
  local = images_lib.load(folder, nodes[0].spec.image_shape).images
  meta, _ = cj.barycenter(key_meta, nodes, config=shorter(STAGES['barycenter']))
  edge, _ = cj.adapt(key_edge, meta, local, config=shorter(STAGES['adapt']))
  made, _ = cj.ternarize(
    key_small, edge, local,
    config=shorter(adaptation.ternarize_default(edge.spec)),
  )  # fmt: skip
  kept = cj.load(out)
  for part in ('params', 'critic'):
    pairs = (jax.tree.leaves(getattr(g, part)) for g in (made, kept))
    for a, b in zip(*pairs, strict=True):
      np.testing.assert_array_equal(a, b)
