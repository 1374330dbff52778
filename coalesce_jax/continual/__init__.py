"""Continual learning: one network learns task after task and forgets none.

import coalesce_jax as cj
tasks = [
  cj.continual.translation('maps', pairs),
  cj.continual.translation('colours', others),
]
family, result = cj.continual.piggyback(key, tasks, share=0.25)
cj.continual.save('family.safetensors', family)
translator = cj.continual.load_member('family.safetensors', 'colours')

Other learners: `cj.continual.run(key, cj.continual.make('ewc', 'unet'),
tasks)`.
"""

from typing import TYPE_CHECKING

from coalesce_jax.core import rooms

if TYPE_CHECKING:
  from coalesce_jax.continual.family import Family as Family
  from coalesce_jax.continual.family import Member as Member
  from coalesce_jax.continual.family import as_state as as_state
  from coalesce_jax.continual.family import from_state as from_state
  from coalesce_jax.continual.family_files import add as add
  from coalesce_jax.continual.family_files import load as load
  from coalesce_jax.continual.family_files import load_member as load_member
  from coalesce_jax.continual.family_files import save as save
  from coalesce_jax.continual.image_tasks import translation as translation
  from coalesce_jax.continual.image_tasks import unpaired as unpaired
  from coalesce_jax.continual.latent_tasks import latents as latents
  from coalesce_jax.continual.learn import grow as grow
  from coalesce_jax.continual.learn import piggyback as piggyback
  from coalesce_jax.continual.learners import make as make
  from coalesce_jax.continual.scores import summary as summary
  from coalesce_jax.continual.stream import run as run

# Name -> the module that defines it.
_HOMES = {
  'Family': 'family',
  'Member': 'family',
  'add': 'family_files',
  'as_state': 'family',
  'from_state': 'family',
  'grow': 'learn',
  'latents': 'latent_tasks',
  'load': 'family_files',
  'load_member': 'family_files',
  'make': 'learners',
  'piggyback': 'learn',
  'run': 'stream',
  'save': 'family_files',
  'summary': 'scores',
  'translation': 'image_tasks',
  'unpaired': 'image_tasks',
}
__all__ = tuple(_HOMES)
__getattr__ = rooms.submodules(__name__, _HOMES)
