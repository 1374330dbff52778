"""Names that flags offer are those that something implements."""

from coalesce_jax.continual import learners
from coalesce_jax.continual import settings
from coalesce_jax.data import augmentation
from coalesce_jax.data import augmentation_names
from coalesce_jax.export import export
from coalesce_jax.export import names as export_names
from coalesce_jax.gan import config
from coalesce_jax.gan import objectives
from coalesce_jax.gan.adversarial import registry
from coalesce_jax.metrics import feature_names
from coalesce_jax.metrics import feature_registry
from coalesce_jax.transforms import ternary_config
from coalesce_jax.transforms import ternary_schemes


def test_every_name_has_what_it_names_and_nothing_is_without_a_name():
  for names, table in (
    (config.OBJECTIVES, objectives.TABLE),
    (config.ADVERSARIAL, ('wgan', *registry.PLAIN)),
    (ternary_config.SCHEMES, ternary_schemes.TABLE),
    (settings.LEARNERS, learners.TABLE),
    (feature_names.NAMES, feature_registry.LOADERS),
    (tuple(export_names.WEIGHTS), export.FORMATS),
    (tuple(export_names.ENDINGS), export.FORMATS),
  ):
    assert sorted(names) == sorted(table)
  for name in augmentation_names.KINDS:
    assert augmentation.build(name) is not None
  for name in config.WITH_RADII:
    assert name in config.OBJECTIVES
