"""Settings of translation: defaults of the public code, and what is refused."""

import dataclasses

import pytest

from coalesce_jax.gan import config as config_lib
from coalesce_jax.networks import translation_layers
from coalesce_jax.networks import translators
from coalesce_jax.training import schedules
from coalesce_jax.translation import methods
from coalesce_jax.translation import settings


def test_rates_fall_over_the_last_half():
  config = settings.Pix2pix(schedule=schedules.Schedule(1000))
  game = config.game()
  assert (game.constant_steps, game.decay_steps) == (500, 500)
  constant = dataclasses.replace(config, decay_fraction=0.0).game()
  assert (constant.constant_steps, constant.decay_steps) == (0, 0)


@pytest.mark.parametrize('norm,joined', [('instance', True), ('batch', False)])
def test_only_samples_of_their_own_norm_are_scored_in_one_batch(norm, joined):
  networks = settings.Networks(norm=norm)
  assert settings.Pix2pix(networks=networks).game().joined_scores == joined


def test_least_squares_count_twice_as_in_the_public_code():
  assert settings.CycleGan().adversarial_weight == 2.0
  assert settings.Pix2pix().adversarial_weight == 1.0


def test_names_are_those_of_what_implements_them():
  assert set(settings.GAN_MODES.values()) == set(config_lib.ADVERSARIAL)
  assert set(settings.GENERATORS) == set(translators.TRANSLATORS)
  assert settings.NORMS == translation_layers.NORMS
  assert settings.UPSAMPLINGS == translation_layers.UPSAMPLINGS
  assert tuple(methods.TABLE) == settings.METHODS
  assert settings.Cut().nce_layers == translators.CUT_LAYERS


@pytest.mark.parametrize(
  ('make', 'wanted'),
  [
    (lambda: settings.Pix2pix(gan_mode='other'), "gan_mode 'other'"),
    (lambda: settings.Pix2pix(lambda_l1=-1.0), 'lambda_l1 -1.0'),
    (lambda: settings.CycleGan(lambda_cycle=float('nan')), 'lambda_cycle nan'),
    (lambda: settings.CycleGan(pool_size=-1), 'pool_size -1'),
    (lambda: settings.Cut(temperature=0.0), 'temperature 0.0'),
    (lambda: settings.Cut(networks=settings.Networks()), 'ResNet'),
    (lambda: settings.Networks(net_g='vgg'), "net_g 'vgg'"),
    (lambda: settings.Pix2pix(decay_fraction=2.0), 'decay_fraction 2.0'),
    (lambda: settings.Pix2pix(batch_size=0), 'batch_size 0'),
  ],
)
def test_bad_settings_are_refused(make, wanted):
  with pytest.raises(ValueError, match=wanted):
    make()
