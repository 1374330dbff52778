"""The selection criterion: the least distance without copying."""

from coalesce_jax.trials import selection


def test_the_best_of_those_that_copy_no_more_than_real_images_is_selected():
  slow, fast = (1.0, 1.0), (1.0, 3.0)
  found = {
    'frechet': {slow: {50: 40.0, 100: 30.0}, fast: {50: 35.0, 100: 20.0}},
    'copied': {slow: {50: 0.02, 100: 0.05}, fast: {50: 0.04, 100: 0.2}},
    'unseen': {slow: {50: 0.02, 100: 0.02}, fast: {50: 0.02, 100: 0.02}},
  }

  def chosen(limit):
    row = selection.select(**found, limit=limit)
    assert row['rate'] == 1.0
    return row['generator_rate'], row['step'], row['allowed']

  assert selection.select(**found, limit=0.05) == {
    'rate': 1.0, 'generator_rate': 1.0, 'step': 100, 'frechet': 30.0,
    'copied': 0.05, 'allowed': True,
  }  # fmt: skip
  # Samples near to images that were not trained on are no copies.
  found['unseen'][fast][100] = 0.19
  assert chosen(0.05) == (3.0, 100, True)
  found['unseen'][fast][100] = 0.18
  assert chosen(0.05) == (1.0, 100, True)
  # Nobody is good enough: the fewest copies; .02 is what unseen samples have.
  assert chosen(0.0) == (1.0, 50, True)
  found['unseen'] = {r: dict.fromkeys((50, 100), 0.0) for r in (slow, fast)}
  assert selection.select(**found, limit=0.0) == {
    'rate': 1.0, 'generator_rate': 1.0, 'step': 50, 'frechet': 40.0,
    'copied': 0.02, 'allowed': False,
  }  # fmt: skip


def test_where_copies_are_not_measured_the_least_distance_is_selected():
  frechet = {(0.3, 1.0): {40: 30.0}, (1.0, 1.0): {20: 25.0, 40: 25.0}}
  assert selection.select(frechet) == {
    'rate': 1.0, 'generator_rate': 1.0, 'step': 20, 'frechet': 25.0,
    'allowed': True,
  }  # fmt: skip
  # Of equals the first.
  frechet |= {(0.3, 1.0): {40: 25.0}}
  assert selection.select(frechet)['rate'] == 0.3


def test_who_does_not_copy_ranks_before_who_is_nearer():
  rows = [
    {'allowed': allowed, 'frechet': frechet}
    for allowed, frechet in ((False, 1.0), (True, 9.0), (True, 8.0))
  ]
  ordered = sorted(rows, key=selection.rank)
  assert [row['frechet'] for row in ordered] == [8.0, 9.0, 1.0]
