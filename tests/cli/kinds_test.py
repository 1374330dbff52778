"""Values of flags are checked where they are parsed."""

import pathlib

from absl import flags
import pytest

from coalesce_jax.cli.definitions import kinds
from tests.cli import calls


def parsed(*arguments):
  values = flags.FlagValues()
  kinds.path(values, 'out', None, 'A path.')
  kinds.paths(values, 'nodes', 'Paths.')
  kinds.numbers(values, 'weights', 'Numbers.')
  kinds.number(values, 'rate', 0.5, 'A rate.', 0.0, 1.0, open_low=True)
  kinds.count(values, 'steps', 3, 'Steps.')
  kinds.seed(values)
  kinds.switch(values, 'fast', 'Whether.')
  values(['any', *arguments])
  return values


def test_good_values_are_read():
  values = parsed(
    '--nodes=a, b', '--weights=0.25,1e-3', '--rate=1', '--steps=7',
    f'--seed={2**32 - 1}',
  )  # fmt: skip
  assert values.nodes == ['a', 'b'] and values.weights == [0.25, 0.001]
  assert (values.rate, values.steps, values.seed) == (1.0, 7, 2**32 - 1)
  values = parsed()
  assert (values.out, values.nodes, values.weights) == (None, None, None)
  assert (values.rate, values.steps, values.seed) == (0.5, 3, 0)
  assert not values.fast and parsed('--fast').fast
  assert not parsed('--nofast').fast and parsed('--fast=true').fast


def test_a_tilde_is_the_home_folder(monkeypatch):
  monkeypatch.setenv('HOME', '/home/someone')
  values = parsed('--out=~/a~b', '--nodes=~,~/x,y')
  assert values.out == '/home/someone/a~b'
  assert values.nodes == ['/home/someone', '/home/someone/x', 'y']


@pytest.mark.parametrize(
  ('argument', 'match'),
  [
    ('--out=', 'the path is empty'),
    ('--out=~nobody_of_this_name/x', "no home folder for '~nobody_of"),
    ('--out=https://host/x', 'a URL is not read'),
    ('--out=a\nb', 'line break'),
    ('--nodes=a,,b', 'an item of the list is empty'),
    ('--nodes=a,', 'an item of the list is empty'),
    ('--nodes=a,ftp://x', 'a URL is not read'),
    ('--weights=1,x', 'it is not a number'),
    ('--weights=1,nan', 'it is not finite'),
    ('--rate=inf', 'it is not finite'),
    ('--rate=0', 'it is not above 0'),
    ('--rate=1.1', r'it is not in \[0, 1\]'),
    ('--rate=', 'it is not a number'),
    ('--steps=0', r'it is not in \[1, 1000000000\]'),
    ('--steps=1e3', 'it is not a whole number'),
    ('--steps=٣', 'it is not a whole number'),
    ('--fast=maybe', 'it is neither true nor false'),
    ('--seed=-1', r'it is not in \[0, 4294967295\]'),
    (f'--seed={2**32}', 'it is not in'),
    ('--seed=99999999999999999999', 'it is not in'),
  ],
)
def test_bad_values_are_refused_with_flag_and_value(argument, match):
  with pytest.raises(flags.Error, match=match) as caught:
    parsed(argument)
  name, _, value = argument.partition('=')
  assert f'{name}={value}' in str(caught.value)


@pytest.mark.parametrize(
  'argv',
  [
    ['pretrain', '--out=nodes', '--seed=4294967296'],
    ['pretrain', '--out=nodes', '--steps=0'],
    ['pretrain', '--out=nodes', '--batch_size=0'],
    ['pretrain', '--out=nodes', '--learning_rate=inf'],
    ['pretrain', '--out=nodes', '--critic_learning_rate=nan'],
    ['pretrain', '--out=nodes', '--width=0'],
    ['adapt', '--nodes=a', '--local=b', '--out=c.safetensors',
     '--barycenter_steps=0'],
    ['evaluate', '--node=a', '--images=b', '--samples=0'],
    ['sample', '--node=a', '--out=b.png', '--n=0'],
  ],
)  # fmt: skip
def test_commands_check_settings_before_anything(
  capsys, tmp_path, monkeypatch, argv
):
  monkeypatch.chdir(tmp_path)
  calls.refused(capsys, argv, argv[-1].split('=')[1])
  assert not list(pathlib.Path('.').iterdir())
