"""Methods of image translation on the one game: pix2pix, CycleGAN and CUT.

import coalesce_jax as cj
pairs = cj.translation.load('pairs')
translator, history = cj.translation.pix2pix(key, pairs)
images = translator(photos)
"""

import importlib
from typing import TYPE_CHECKING, Any

from coalesce_jax.core import rooms

if TYPE_CHECKING:
  from coalesce_jax.data.pairs import load as load
  from coalesce_jax.translation.cut_method import cut as cut
  from coalesce_jax.translation.cyclegan_method import cyclegan as cyclegan
  from coalesce_jax.translation.pix2pix_method import pix2pix as pix2pix
  from coalesce_jax.translation.settings import Cut as Cut
  from coalesce_jax.translation.settings import CycleGan as CycleGan
  from coalesce_jax.translation.settings import Networks as Networks
  from coalesce_jax.translation.settings import Pix2pix as Pix2pix
  from coalesce_jax.translation.settings import fast_cut as fast_cut

# Name -> the module that defines it.
_HOMES = {
  'Cut': 'translation.settings',
  'CycleGan': 'translation.settings',
  'Networks': 'translation.settings',
  'Pix2pix': 'translation.settings',
  'cut': 'translation.cut_method',
  'cyclegan': 'translation.cyclegan_method',
  'fast_cut': 'translation.settings',
  'load': 'data.pairs',
  'pix2pix': 'translation.pix2pix_method',
}
__all__ = tuple(_HOMES)
_module = rooms.submodules(__name__)


def __getattr__(name: str) -> Any:
  if name in _HOMES:
    home = importlib.import_module(f'coalesce_jax.{_HOMES[name]}')
    return getattr(home, name)
  return _module(name)
