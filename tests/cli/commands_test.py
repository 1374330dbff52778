"""The table of commands: each has help and its flags."""

import pytest

from coalesce_jax.cli import commands
from coalesce_jax.cli import main

TRAINING = """
  batch_size critic_learning_rate critic_steps generator_batches learning_rate
  out seed steps track workdir
"""
PAIRS = 'crop_size data data_dir direction layout load_size preprocess'
# Flags are public: none goes, and a new one is written here.
FLAGS = {
  'run': 'config track workdir',
  'pretrain': f'{TRAINING} channels data_dir dataset image_size latent_size '
  'network split start width',
  'barycenter': f'{TRAINING} alpha bandwidth fixed_samples method n scores '
  'new_generator nodes objective radii refine_steps weights',
  'mixture': 'nodes out refine_steps weights',
  'adapt': f'{TRAINING} anchor augment barycenter_steps early_stopping '
  'freeze_d critic judges local method nodes packing share ternary '
  'ternary_steps weights',
  'ternarize': f'{TRAINING} augment critic local node packing',
  'compress': f'{TRAINING} agent_steps anchor augment critic density_weight '
  'local macs method node onnx packing ternary ternary_steps',
  'export': 'format node out weights',
  'share': 'license node out pictures',
  'sample': 'backend n node out seed',
  'evaluate': 'features images labelled local node samples seed',
  'translate train': f'{PAIRS} batch_size blocks downs dropout gan_mode '
  'lambda_cycle lambda_identity lambda_l1 lambda_nce learning_rate method '
  'n_layers_d ndf net_g ngf no_flip norm out pool_size seed steps track '
  'upsampling workdir',
  'translate apply': 'backend input model out tile',
  'translate evaluate': f'{PAIRS} model out',
  'stream run': 'config out track workdir',
  'stream add': 'batch_size critic_width data data_dir direction family layout '
  'learning_rate name out seed share start steps track workdir',
  'stream apply': 'family input n out seed task tile',
  'stream export': 'family out task',
  'federated run': 'config out track workdir',
  'federated adapt': 'local meta out seed shots',
  'inspect': 'node',
  'report': 'workdir',
  'zoo': '',
  'data': 'channels data_dir dataset image_size layout preview',
}


@pytest.mark.parametrize('name', commands.TABLE)
def test_a_command_tells_its_help_and_its_flags(capsys, name):
  assert main.main(['coalesce', *name.split(), '--help']) == 0
  first, *rows = capsys.readouterr().out.strip().splitlines()
  assert first == f'coalesce {name}: {commands.TABLE[name].help}'
  found = {
    row.split(':')[0].strip()[2:] for row in rows if row.startswith('  --')
  }
  assert found == set(FLAGS[name].split()) | {
    'devices',
    'traceback',
    'verbosity',
  }


def test_the_usage_lists_every_command(capsys):
  assert main.main(['coalesce', '--help']) == 0
  text = capsys.readouterr().out
  assert list(FLAGS) == list(commands.TABLE)
  for name, command in commands.TABLE.items():
    assert f'  {name:<18} {command.help}' in text
