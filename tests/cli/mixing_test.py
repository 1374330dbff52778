"""mixture: all bundles as one generator."""

import numpy as np

import coalesce_jax as cj
from coalesce_jax.core import trees
from tests import agreement
from tests import small
from tests.cli import calls


def test_a_mixture_holds_all_bundles_and_their_weights(capsys, tmp_path):
  paths = [
    calls.node(tmp_path / f'{k}.safetensors', k, small.PIXELS) for k in range(2)
  ]
  out = tmp_path / 'new' / 'both.safetensors'
  code, result, _ = calls.run(
    capsys, 'mixture', f'--nodes={",".join(paths)}', '--weights=0.25,0.75',
    f'--out={out}',
  )  # fmt: skip
  assert code == 0
  assert result == {'bundle': str(out), 'bytes': out.stat().st_size}
  made = cj.load(out)
  assert made.spec.network == 'mixture'
  assert made.spec.provenance == {'stage': 'mixture', 'dataset': 'unknown'}
  np.testing.assert_allclose(np.exp(made.params['scores']), [0.25, 0.75])
  for k, path in enumerate(paths):
    params = trees.member(made.params['nodes'], k)
    assert agreement.equal(params, cj.load(path).params)


def test_steps_of_refinement_are_not_negative(capsys):
  argv = ['mixture', '--nodes=a', '--out=b', '--refine_steps=-1']
  calls.refused(capsys, argv, 'refine_steps')
