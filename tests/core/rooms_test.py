"""Modules of a room are there when they are named, whatever came before."""

import subprocess
import sys

import pytest

from coalesce_jax.core import rooms

PROGRAM = """
import coalesce_jax.methods.settings
import coalesce_jax as cj
assert cj.methods.settings.FineTuning().anchor == 0.5
assert cj.data.augmentation_names.parse('flip')
"""


def test_the_order_of_imports_does_not_matter():
  subprocess.run([sys.executable, '-c', PROGRAM], check=True)


def test_other_names_are_attribute_errors():
  find = rooms.submodules('coalesce_jax.ot')
  assert find('validation').__name__ == 'coalesce_jax.ot.validation'
  for name in ('nothing', '__path2__', '_private'):
    with pytest.raises(AttributeError, match=f'no attribute {name!r}'):
      find(name)
