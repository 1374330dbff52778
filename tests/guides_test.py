"""Examples of the guides and the reference: they run, and print what is said.

Names of files and numbers of steps are replaced, so that small networks do.
"""

import pathlib
import re
import shlex

import jax
import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.cli import main
from coalesce_jax.data import images
from coalesce_jax.pipeline import defaults
from launch import main as launch
from tests import small
from tests.cli import calls

DOCS = pathlib.Path(__file__).resolve().parents[1] / 'docs'


def blocks(page, language):
  text = (DOCS / page).read_text('utf8')
  return re.findall(rf'^```{language}\n(.*?)^```', text, re.M | re.S)


def run(source, *changes):
  """Runs an example with parts replaced; its variables."""
  for old, new in changes:
    assert old in source
    source = source.replace(old, new)
  made = {}
  exec(compile(source, 'example', 'exec'), made)
  return made


def nodes(folder, count, spec=small.PIXELS):
  return [
    calls.node(folder / f'{name}.safetensors', k, spec)
    for k, name in enumerate('abc'[:count])
  ]


@pytest.mark.slow
def test_flags_for_three_nodes_of_unequal_trust_run(capsys, tmp_path):
  text = (DOCS / 'guides/settings.md').read_text('utf8')
  section = text.split('## Three nodes of unequal trust')[1].split('\n## ')[0]
  rows = re.findall(r'`(--objective=[^`]*|--weights=[^`]*)`', section)
  mean, median, weights, ball = (shlex.split(row) for row in rows)
  assert ball[1] == '--nodes=A,B,C'
  paths = nodes(tmp_path, 3)
  made = {}
  for name, flags in {
    'mean': mean,
    'median': [*median, *weights],
    'ball': [ball[0], ball[2]],
    # The radius of the first node is not used.
    'other': [ball[0], ball[2].replace('=0,', '=7,')],
    'tight': [ball[0], '--radii=0,0.01,0.01'],
  }.items():
    out = tmp_path / f'{name}.safetensors'
    code, _, error = calls.run(
      capsys, 'barycenter', f'--nodes={",".join(paths)}', f'--out={out}',
      *calls.FEW, *flags,
    )  # fmt: skip
    assert code == 0, error
    leaves = jax.tree.leaves(cj.load(out).params)
    made[name] = np.concatenate([np.ravel(leaf) for leaf in leaves])
  np.testing.assert_array_equal(made['ball'], made['other'])
  assert not np.array_equal(made['ball'], made['tight'])
  assert not np.array_equal(made['mean'], made['median'])


@pytest.mark.slow
def test_the_program_of_your_images_writes_a_ternary_bundle(
  tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  first, second = nodes(tmp_path, 2)
  calls.folder(tmp_path / 'photos')
  (program,) = blocks('guides/your_images.md', 'python')
  made = run(
    'from tests.methods import presets\n' + program,
    ('zoo:mnist-0-4', first),
    ('zoo:mnist-5-9', second),
    ('(key_meta, nodes)', '(key_meta, nodes, config=presets.meeting())'),
    ('(key_edge, meta, local)',
     '(key_edge, meta, local, config=presets.adapting())'),
    ('(key_small, edge, local)',
     '(key_small, edge, local, config=presets.adapting(\n'
     "  ternary=ternary_config.Ternary(leaves=('.*/kernel',))))"),
    ('import coalesce_jax as cj\n',
     'import coalesce_jax as cj\n'
     'from coalesce_jax.transforms import ternary_config\n'),
  )  # fmt: skip
  assert made['local'].shape == (12, 8, 8, 1)
  assert cj.load('edge.safetensors').spec == made['small'].spec


def test_the_example_of_a_configuration_changes_the_defaults():
  (program,) = blocks('reference/configuration.md', 'python')
  get_config = run(program)['get_config']
  config, usual = get_config(), defaults.get_config()
  assert (config.dataset, config.adapt.steps) == ('mnist', 300)
  assert config.barycenter == usual.barycenter
  assert get_config('quick').barycenter.steps < usual.barycenter.steps


@pytest.mark.slow
def test_the_script_for_slurm_is_what_the_command_prints(capsys, tmp_path):
  console = blocks('guides/trials.md', 'console')
  lines = ''.join(console).replace('\\\n', '').splitlines()
  (line,) = (line for line in lines if 'slurm' in line)
  flags = shlex.split(line)[3:]
  assert '--workdir=DIR' in flags
  work = tmp_path / 'DIR'
  flags = [flag.replace('=DIR', f'={work}') for flag in flags]
  assert launch.main(flags) == 0
  printed = capsys.readouterr().err.replace(str(work), 'DIR')
  (script,) = blocks('guides/trials.md', 'bash')
  for line in script.splitlines():
    # Paths are shortened in the guide.
    line = line.removeprefix('exec python ')
    assert line in printed, line


def test_the_list_of_the_zoo_is_what_the_command_prints(capsys):
  assert calls.run(capsys, 'zoo')[0] == 0
  main.main(['coalesce', 'zoo'])
  printed = capsys.readouterr().err
  (listed,) = blocks('guides/sharing.md', 'text')
  for line in listed.splitlines():
    assert ' '.join(line.split()) in ' '.join(printed.split())


MESSAGES = {
  "unknown command 'adpt'": ['adpt'],
  '--local is missing': [
    'adapt', '--nodes=a.safetensors', '--out=e.safetensors',
  ],
  'nowhere: no such': [
    'adapt', '--nodes=a.safetensors', '--local=nowhere', '--out=e.safetensors',
  ],
  '--local=few': [
    'adapt', '--nodes=a.safetensors', '--local=few', '--out=e.safetensors',
  ],
  '--out=e.pt': [
    'adapt', '--nodes=a.safetensors', '--local=few', '--out=e.pt',
  ],
  'bad.safetensors': ['sample', '--node=bad.safetensors', '--out=grid.png'],
  'zoo:mnist-4': ['sample', '--node=zoo:mnist-4', '--out=grid.png'],
  'weights [0.7, 0.7]': [
    'barycenter', '--nodes=a.safetensors,b.safetensors', '--weights=.7,.7',
    '--out=e.safetensors',
  ],
  "objective 'ball'": [
    'barycenter', '--nodes=a.safetensors,b.safetensors', '--objective=ball',
    '--out=e.safetensors',
  ],
  'a barycenter needs': [
    'barycenter', '--nodes=a.safetensors', '--out=e.safetensors',
  ],
  'flag --anchor=1.5': [
    'adapt', '--nodes=a.safetensors', '--local=few', '--out=e.safetensors',
    '--anchor=1.5',
  ],
  "augmentation 'rotate'": [
    'adapt', '--nodes=a.safetensors', '--local=local', '--out=e.safetensors',
    '--augment=rotate',
  ],
}  # fmt: skip


def test_messages_are_those_that_the_questions_list(
  capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  nodes(tmp_path, 2)
  calls.folder(tmp_path / 'few', count=3)
  calls.folder(tmp_path / 'local')
  (tmp_path / 'bad.safetensors').write_text('no bundle')
  listed = re.findall(
    r'^\| `([^`]+)` \|', (DOCS / 'faq.md').read_text('utf8'), re.M
  )
  for start, argv in MESSAGES.items():
    (message,) = (text for text in listed if text.startswith(start))
    code, _, error = calls.run(capsys, *argv)
    assert code == 2
    for part in message.split('...'):
      assert part in error, (part, error)


@pytest.mark.slow
def test_the_program_of_ablations_prints_what_the_guide_says(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  samples = cj.load('zoo:mnist-meta').sample(jax.random.key(0), 24)
  (tmp_path / 'photos').mkdir()
  for k, x in enumerate(np.asarray(samples)[..., 0]):
    level = np.round((x + 1.0) * 127.5).astype(np.uint8)
    Image.fromarray(level).save(tmp_path / 'photos' / f'{k}.png')
  assert len(images.load('photos', (28, 28, 1)).images) == 24
  (program,) = blocks('guides/ablations.md', 'python')
  (wanted,) = blocks('guides/ablations.md', 'text')
  run(program)
  found = capsys.readouterr().out
  value = r'(-?\d\.\d\d)$'
  assert re.sub(value, '', found, flags=re.M) == re.sub(
    value, '', wanted, flags=re.M
  )
  np.testing.assert_allclose(
    [float(n) for n in re.findall(value, found, re.M)],
    [float(n) for n in re.findall(value, wanted, re.M)],
    atol=0.05,
  )
