"""federated run and adapt: files in, files out, refusals."""

import numpy as np
from PIL import Image
import pytest

import coalesce_jax as cj
from coalesce_jax.federated import classifier
from coalesce_jax.federated import learn
from tests.cli import calls
from tests.federated import small

CONFIG = """
from coalesce_jax.pipeline import federated_defaults

def get_config(variant=''):
  config = federated_defaults.get_config()
  federated_defaults.shorten(config, 'quick')
  config.update({settings})
  return config
"""
TINY = {
  'network': 'resnet', 'blocks': 1, 'per_group': 2, 'ways': 2,
  'classes': (2, 2), 'rounds': 2, 'chunk': 1, 'select_every': 0,
}  # fmt: skip


@pytest.fixture(scope='module')
def meta(tmp_path_factory):
  path = tmp_path_factory.mktemp('meta') / 'meta.safetensors'
  cj.federated.save(path, learn.Meta(small.SPEC, small.params(small.SPEC)))
  return str(path)


def local(path, classes=('cat', 'dog'), count=8):
  """Folders of pictures; class k is dark in the half k."""
  rng = np.random.default_rng(0)
  for k, name in enumerate(classes):
    (path / name).mkdir(parents=True)
    pixels = rng.integers(100, 256, (4, 4), dtype=np.uint8)
    pixels[2 * (k % 2) : 2 * (k % 2) + 2] = 0
    for i in range(count):
      Image.fromarray(pixels).save(path / name / f'{i}.png')
  return str(path)


def test_adapt_writes_a_smaller_classifier_and_says_how_good_it_is(
  tmp_path, capsys, meta
):
  out = str(tmp_path / 'task.safetensors')
  folder = local(tmp_path / 'photos')
  flags = [f'--meta={meta}', f'--local={folder}', '--shots=5']
  code, row, _ = calls.run(capsys, 'federated', 'adapt', *flags, f'--out={out}')
  assert code == 0 and row['classes'] == ['cat', 'dog']
  assert (row['adapted_to'], row['held_out']) == (10, 6)
  made = cj.federated.load(out)
  assert made.names == ('cat', 'dog') and made.spec.gates == 'none'
  assert row['open_channels'] == list(made.spec.widths)
  assert row['macs'] == classifier.total(made.spec)
  assert row['macs_all'] == classifier.dense(small.SPEC)
  # All pictures of a class are the same, whichever are held out.
  models = {'accuracy': made, 'accuracy_before': classifier.Classifier(
    small.SPEC, small.params(small.SPEC)
  )}  # fmt: skip
  for field, model in models.items():
    correct = 0
    for k, name in enumerate(made.names):
      file = tmp_path / 'photos' / name / '0.png'
      pixels = np.asarray(Image.open(file), np.float32)[None, ..., None]
      guess = np.asarray(model.logits(pixels / 127.5 - 1.0)).argmax()
      correct += int(guess == k)
    assert row[field] == correct / 2
  assert row['accuracy'] > row['accuracy_before']
  code, row, _ = calls.run(capsys, 'inspect', out)
  assert row['kind'] == 'task' and row['names'] == ['cat', 'dog']


def test_adapt_refuses_what_it_cannot_use(tmp_path, capsys, meta):
  out = f'--out={tmp_path}/task.safetensors'
  two = local(tmp_path / 'two')
  three = local(tmp_path / 'three', ('a', 'b', 'c'))
  flat = calls.folder(tmp_path / 'flat')
  call = ('federated', 'adapt')
  for argv, match in (
    (
      (f'--meta={meta}', f'--local={three}'),
      '3 classes, the network of --meta',
    ),
    ((f'--meta={meta}', f'--local={flat}'), 'there are no labels'),
    ((f'--meta={meta}', f'--local={two}', '--shots=8'), 'has 8 images'),
    ((f'--meta={tmp_path}/no', f'--local={two}'), 'no such file'),
    ((f'--meta={meta}',), '--local is missing'),
  ):
    calls.refused(capsys, (*call, *argv, out), match)
  calls.refused(
    capsys, (*call, f'--meta={meta}', f'--local={two}', f'--out={meta}'),
    'would replace a bundle that --meta reads',
  )  # fmt: skip
  fixed = tmp_path / 'fixed.safetensors'
  params = small.params(small.SPEC)
  cj.federated.save(fixed, learn.Meta(small.SPEC, params, fixed=True))
  named = local(tmp_path / 'named', ('1', '2'))
  calls.refused(
    capsys, (*call, f'--meta={fixed}', f'--local={named}', out),
    'labels 1 to 2; those of --meta are 0 to 1',
  )  # fmt: skip
  # In alphabetical order, truck would be what another node calls car.
  worded = local(tmp_path / 'worded', ('dog', 'truck'))
  calls.refused(
    capsys, (*call, f'--meta={fixed}', f'--local={worded}', out),
    "sub-folder 'dog'; labels mean the same at all nodes: name each",
  )  # fmt: skip
  assert not (tmp_path / 'task.safetensors').exists()


def config_file(path, **settings):
  path.write_text(CONFIG.format(settings={**TINY, **settings}))
  return str(path)


@pytest.mark.slow
def test_run_learns_from_digits_and_adapt_takes_what_it_wrote(tmp_path, capsys):
  config = config_file(tmp_path / 'config.py', seeds=2)
  work = str(tmp_path / 'work')
  flags = [f'--config={config}', f'--workdir={work}']
  code, row, _ = calls.run(capsys, 'federated', 'run', *flags)
  assert code == 0 and 0.0 <= row['accuracy'] <= 1.0
  assert row['macs_all'] == classifier.dense(
    cj.federated.load(row['meta']).spec
  )
  assert cj.federated.load(f'{work}/meta_s1.safetensors').order == 'gates_first'
  # A second call finds it done and says the same.
  again = calls.run(capsys, 'federated', 'run', *flags)[1]
  assert again == row
  config_file(tmp_path / 'config.py', seeds=2, rounds=3)
  calls.refused(capsys, ('federated', 'run', *flags), 'rounds: 2 before')


def test_run_refuses_bad_settings_before_anything_is_made(tmp_path, capsys):
  cases = (
    ({'partition': 'odd'}, "partition 'odd' is not one of"),
    ({'data': 'omniglot'}, "'omniglot' and 'alphabets' go together"),
    ({'meta': {'order': 'odd'}}, "order 'odd' is not one of"),
    ({'ways': 0}, 'ways 0 is below 1'),
    ({'ways': 1}, 'have no room for more'),
    ({'gates': 'none'}, "gates 'none' need the order 'backbone'"),
    ({'test_nodes': 30}, 'leave none for training'),
    ({'shots': 50}, 'a task needs'),
  )
  # Python takes the bytecode of a file that was replaced within a second by one
  # of the same size.
  for k, (change, match) in enumerate(cases):
    config = config_file(tmp_path / f'config_{k}.py', **change)
    flags = (f'--config={config}', f'--workdir={tmp_path}/w')
    calls.refused(capsys, ('federated', 'run', *flags), match)
  assert not (tmp_path / 'w').exists()
