"""The configuration of the pipeline: its defaults are those of the stages."""

import dataclasses

import pytest

from coalesce_jax.methods import adaptation
from coalesce_jax.methods import barycenter
from coalesce_jax.methods import pretraining
from coalesce_jax.methods import settings
from coalesce_jax.pipeline import config as config_lib
from coalesce_jax.pipeline import defaults
from coalesce_jax.training import loop

STAGES = [
  (config_lib.pretrain, pretraining.Config(), None),
  (config_lib.barycenter, barycenter.Config(), settings.BARYCENTER_WARMUP),
  (config_lib.adapted, adaptation.Config(), settings.WARMUP),
  (config_lib.ternary, adaptation.TERNARIZE, settings.WARMUP),
]


@pytest.mark.parametrize(('make', 'stage', 'usual'), STAGES)
def test_stages_of_the_pipeline_have_the_defaults_of_python(make, stage, usual):
  found = make(defaults.get_config())
  # How often a run is saved and looked at is the pipeline's own.
  assert found.schedule == dataclasses.replace(
    stage.schedule, save_seconds=found.schedule.save_seconds,
    observe_every=found.schedule.observe_every,
  )  # fmt: skip
  if usual is not None:
    steps = stage.schedule.steps
    assert found.warmup == loop.warmup_of(stage.warmup, usual, steps)
    stage = dataclasses.replace(stage, warmup=found.warmup)
  assert found == dataclasses.replace(stage, schedule=found.schedule)


def test_the_quick_variant_takes_a_few_steps():
  made = defaults.get_config()
  defaults.shorten(made, 'quick')
  for stage in ('pretrain', 'barycenter', 'adapt', 'ternary'):
    assert made[stage].steps == 40
  with pytest.raises(ValueError, match="variant 'slow'"):
    defaults.shorten(made, 'slow')
