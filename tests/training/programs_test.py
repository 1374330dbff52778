"""Programs are forgotten before a process has too many of them."""

import jax

from coalesce_jax.training import programs


def test_programs_are_forgotten_above_three_quarters(tmp_path, monkeypatch):
  maps, limit = tmp_path / 'maps', tmp_path / 'limit'
  forgotten = []
  # Other tests of this process go on with their programs.
  monkeypatch.setattr(jax, 'clear_caches', lambda: forgotten.append(1))

  def forget(lines):
    maps.write_text('a map\n' * lines)
    return programs.forget_many(maps, limit), len(forgotten)

  limit.write_text('100\n')
  assert forget(75) == (False, 0)
  assert forget(76) == (True, 1)
  limit.write_text('no number')
  assert forget(76) == (False, 1)
  limit.unlink()
  assert forget(76) == (False, 1)
