"""zoo: what the package ships."""

from coalesce_jax.cli import main
from coalesce_jax.models import zoo
from tests.cli import calls


def test_the_zoo_is_listed_with_scores(capsys):
  assert main.main(['coalesce', 'zoo']) == 0
  rows = capsys.readouterr().err.splitlines()
  assert rows[0].split() == [
    'bundle', 'images', 'classes', 'bytes', 'Frechet', 'recall'
  ]  # fmt: skip
  assert rows[3].split()[:2] == ['zoo:mnist-meta', '28x28x1']
  _, result, _ = calls.run(capsys, 'zoo')
  assert list(result['zoo']) == [f'zoo:{name}' for name in zoo.index()]


def test_a_bundle_of_the_zoo_is_sampled(capsys, tmp_path):
  out = tmp_path / 'x.png'
  code, _, _ = calls.run(
    capsys, 'sample', '--node=zoo:fashion-meta', '--n=4', f'--out={out}'
  )
  assert code == 0 and out.is_file()
  calls.refused(
    capsys, ['sample', '--node=zoo:none', f'--out={out}'], 'not in the zoo'
  )
