"""Runs the code of all notebooks on small settings, and checks what they make.

Jupyter is not needed: a notebook is JSON, and its code is Python but for lines
that install packages in Colab.
"""

import itertools
import json
import pathlib
import re

import jax
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
from PIL import Image
import pytest

from coalesce_jax.core import trees
from coalesce_jax.models import bundle
from coalesce_jax.ot import exact

FOLDER = pathlib.Path(__file__).parents[1] / 'notebooks'
NAMES = (
  'barycenters',
  'continual',
  'edge',
  'federated',
  'quickstart',
  'seeds',
  'shapes',
  'translation',
)


def percent_cells(path):
  """Cells of a file in the percent format: kind and source of each."""
  found = []
  for block in re.split('^# %%', path.read_text('utf8'), flags=re.M)[1:]:
    first, _, body = block.partition('\n')
    body = body.strip('\n')
    if first.strip() == '[markdown]':
      body = '\n'.join(re.sub('^# ?', '', line) for line in body.split('\n'))
      found.append(('markdown', body))
    else:
      found.append(('code', re.sub(r'^( *)# (%\w)', r'\1\2', body, flags=re.M)))
  return found


def notebook(name):
  return json.loads((FOLDER / f'{name}.ipynb').read_text('utf8'))


def run(name, folder, monkeypatch, cells=None, changes=()):
  """Runs a notebook, or its first cells, on small settings; its variables."""
  monkeypatch.chdir(folder)
  sources = [
    re.sub(r'^ *%.*$', '', source, flags=re.M)
    for kind, source in percent_cells(FOLDER / f'{name}.py')
    if kind == 'code'
  ]
  made = {'__name__': name}
  for old, new in [('QUICK = False', 'QUICK = True'), *changes]:
    assert sources[0].count(old) == 1
    sources[0] = sources[0].replace(old, new)
  for number, source in enumerate(sources[:cells]):
    exec(compile(source, f'{name}[{number}]', 'exec'), made)
  return made


def assert_pictures(count):
  assert len(plt.get_fignums()) == count
  for number in plt.get_fignums():
    plt.figure(number).canvas.draw()


@pytest.fixture(autouse=True)
def _no_figure_left():
  yield
  plt.close('all')


def levels(generator, name):
  """The largest number of values that a leaf has in one output channel."""
  leaf = np.asarray(trees.flatten(generator.params)[name])
  channels = leaf.reshape(-1, leaf.shape[-1]).T
  return max(len(np.unique(channel)) for channel in channels)


def ternary_leaves(generator):
  return generator.spec.encodings['ternary']['leaves']


def test_all_notebooks_are_tested():
  assert {p.stem for p in FOLDER.glob('*.ipynb')} == set(NAMES)
  assert {p.stem for p in FOLDER.glob('*.py')} == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_a_notebook_has_the_cells_of_its_source(name):
  cells = [
    (cell['cell_type'], ''.join(cell['source']))
    for cell in notebook(name)['cells']
  ]
  assert cells == percent_cells(FOLDER / f'{name}.py')


@pytest.mark.parametrize('name', NAMES)
def test_a_notebook_is_kept_as_it_ran_whole(name):
  code = [c for c in notebook(name)['cells'] if c['cell_type'] == 'code']
  assert [c['execution_count'] for c in code] == list(range(1, len(code) + 1))
  outputs = list(itertools.chain(*(c['outputs'] for c in code)))
  assert all(o['output_type'] in ('stream', 'display_data') for o in outputs)
  assert not any(o.get('name') == 'stderr' for o in outputs)
  assert sum('image/png' in o.get('data', {}) for o in outputs) >= 3
  text = json.dumps(code)
  assert str(pathlib.Path.home()) not in text and '/tmp/' not in text


@pytest.mark.parametrize('name', NAMES)
def test_the_links_of_a_notebook_lead_to_files(name):
  cells = percent_cells(FOLDER / f'{name}.py')
  text = '\n'.join(body for kind, body in cells if kind == 'markdown')
  links = re.findall(r'\]\(([^()\s]+)\)', text)
  assert [link for link in links if link.startswith('../docs/')]
  assert not [link for link in links if not (FOLDER / link).exists()]


def test_the_notebooks_are_small():
  assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 1_500_000


@pytest.mark.slow
def test_quickstart_ends_with_a_ternary_generator_in_a_verified_file(
  tmp_path, monkeypatch
):
  made = run('quickstart', tmp_path, monkeypatch)
  assert_pictures(3)
  assert made['local'].shape == (20, 28, 28, 1)
  small = bundle.load(tmp_path / 'ternary.safetensors')
  assert ternary_leaves(small)
  assert {levels(small, name) for name in ternary_leaves(small)} == {3}
  assert all(levels(made['edge'], name) > 3 for name in ternary_leaves(small))
  session = onnxruntime.InferenceSession(tmp_path / 'edge.onnx')
  z = np.random.default_rng(1).standard_normal((3, 64), np.float32)
  (images,) = session.run(None, {'z': z})
  expected = small.network.apply(small.params, z)
  np.testing.assert_allclose(images, expected, atol=1e-4)
  sizes = {p.name: p.stat().st_size for p in tmp_path.iterdir()}
  assert sizes['ternary.safetensors'] * 5 < sizes['adapted.safetensors']
  assert sizes['edge.onnx'] * 5 < sizes['adapted.safetensors']


def test_quickstart_takes_a_folder_of_pictures(tmp_path, monkeypatch):
  rng = np.random.default_rng(0)
  (tmp_path / 'mine').mkdir()
  for k in range(9):
    levels = rng.integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(levels).save(tmp_path / 'mine' / f'{k}.png')
  made = run(
    'quickstart', tmp_path, monkeypatch, cells=2,
    changes=[("FOLDER = ''", "FOLDER = 'mine'")],
  )  # fmt: skip
  assert made['local'].shape == (9, 28, 28, 1)
  np.testing.assert_array_equal(made['others'], made['local'])
  assert_pictures(1)


@pytest.mark.slow
def test_edge_writes_programs_that_agree_and_the_page_that_names_them(
  tmp_path, monkeypatch
):
  made = run('edge', tmp_path, monkeypatch)
  assert_pictures(3)
  small = made['small']
  assert {levels(small, name) for name in ternary_leaves(small)} == {3}
  expected = small.network.apply(small.params, made['z'])
  for session in made['runs'].values():
    (images,) = session.run(None, {'z': made['z']})
    np.testing.assert_allclose(images, expected, atol=1e-4)
  sizes = [
    (tmp_path / name).stat().st_size
    for name in (
      'edge-trits.safetensors', 'edge.safetensors', 'edge-int4.onnx',
      'edge-float32.onnx',
    )
  ]  # fmt: skip
  assert sizes == sorted(sizes)
  assert (tmp_path / 'edge-int2.onnx').stat().st_size < sizes[2]
  assert all(0 < value < np.inf for value in made['times'].values())
  page = (tmp_path / 'edge.html').read_text('utf8')
  assert "create('edge-int2.onnx')" in page and '[8, 28, 64]' in page


@pytest.mark.slow
def test_continual_ends_with_a_family_that_forgets_nothing(
  tmp_path, monkeypatch
):
  made = run('continual', tmp_path, monkeypatch)
  assert_pictures(3)
  scores = made['result'].scores['l1']
  for t, (task, (_, held)) in enumerate(made['pairs'].items()):
    assert len(np.unique(scores[t:, t])) == 1
    # So many of the held-out pairs are scored.
    images = np.asarray(made['members'][task](held.condition[:128]))
    wanted = np.asarray(held.target[:128], np.float32) / 127.5 - 1.0
    np.testing.assert_allclose(
      np.mean(np.abs(images - wanted)), scores[-1, t], atol=1e-5
    )
  shares = made['result'].stored[1:] / made['result'].stored[0]
  assert (shares < 0.6).all() and (shares > 0.2).all()


@pytest.mark.slow
def test_barycenters_has_the_exact_answers(tmp_path, monkeypatch):
  made = run('barycenters', tmp_path, monkeypatch)
  assert_pictures(3)
  # The diagonals of a square cross in its middle, wherever one end lies on it.
  wanted = {
    ('median', 'four good nodes'): (1.5, 1.5),
    ('median', 'one corrupted node'): (1.5, 1.5),
    ('mean', 'four good nodes'): (1.5, 1.5),
    ('mean', 'one corrupted node'): (3.0, 3.0),
    # On the diagonal, 2.5 from the opposite corner.
    ('ball', 'four good nodes'): (3 - 2.5 / 2**0.5,) * 2,
  }
  for (name, case), point in wanted.items():
    found = made['ANSWERS'][name](made['CASES'][case])
    np.testing.assert_allclose(found, point, atol=1e-5)
  assert made['ANSWERS']['ball'](made['CASES']['one corrupted node']) is None
  assert len(made['errors']) == 7
  assert np.all(np.isfinite(list(made['errors'].values())))
  good, bad = made['violation']
  assert bad > good >= 0.0


@pytest.mark.slow
def test_seeds_trains_a_replica_for_each_weight_and_seed(tmp_path, monkeypatch):
  made = run('seeds', tmp_path, monkeypatch)
  assert_pictures(4)
  assert made['few'].shape == made['many'].shape == (2, 2)
  assert np.all(made['few'] > 0.0)
  first = jax.tree.leaves(made['adapted'].params)[0]
  assert len(first) == 4 and len(np.unique(first, axis=0)) == 4
  # Without a proximal weight the center is the mean of the local samples.
  means = made['local_samples'](8).mean(1)
  distances = np.linalg.norm(means - [[0.8, 0.0]], axis=1)
  np.testing.assert_allclose(
    made['reference'](made['local_samples'](8))[0], distances, rtol=1e-6
  )


@pytest.mark.slow
def test_translation_ends_with_a_program_that_draws_alike(
  tmp_path, monkeypatch
):
  made = run('translation', tmp_path, monkeypatch)
  assert_pictures(4)
  held = made['held']
  # Few steps do not learn. The table has what the pixels say.
  median = np.median(made['train'].target / np.float32(127.5) - 1.0, 0)
  far = np.abs(median - (held.target / np.float32(127.5) - 1.0)).mean()
  np.testing.assert_allclose(made['table']['median'], far, rtol=1e-4)
  assert set(made['table']) == {'copy', 'mean', 'median', 'nearest', 'pix2pix'}
  assert made['coloured'].shape == (1, 16, 24, held.target.shape[-1])
  loaded = bundle.load(tmp_path / 'translator.safetensors')
  expected = loaded(np.asarray(made['drawn']))
  np.testing.assert_allclose(made['coloured'], expected, atol=1e-5)
  assert made['difference'] < 0.1


@pytest.mark.slow
def test_shapes_has_answers_that_are_least_in_their_own_objective(
  tmp_path, monkeypatch
):
  made = run('shapes', tmp_path, monkeypatch)
  assert_pictures(4)
  squared = {name: cost[1] for name, cost in made['costs'].items()}
  assert min(squared, key=squared.get) == 'W2 mean, matchings'
  for name, some in made['cases'].items():
    shares = [image.reshape(-1) / image.sum() for image in some]
    pixels = made['pixels']
    # No image of the case is a better median.
    values = [
      np.mean([exact.w1(pixels, pixels, other, each) for each in shares])
      for other in shares
    ]
    assert made['medians'][name].value <= min(values) + 1e-9


@pytest.mark.slow
def test_federated_ends_with_a_small_network_for_a_node(tmp_path, monkeypatch):
  made = run('federated', tmp_path, monkeypatch)
  assert_pictures(4)
  adapted, loaded = made['adapted'], made['loaded']
  assert loaded.spec == adapted.static.spec and loaded.spec.gates == 'none'
  assert loaded.spec.widths == tuple(int(m.sum()) for m in adapted.masks)
  images = made['query'].images / 127.5 - 1.0
  np.testing.assert_allclose(
    loaded.logits(images), adapted.static.logits(images), atol=1e-6
  )
