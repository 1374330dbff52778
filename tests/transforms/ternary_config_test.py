"""Settings of ternarization: what they build and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coalesce_jax.transforms import base
from coalesce_jax.transforms import ternary
from coalesce_jax.transforms import ternary_config

KEY = jax.random.key(0)
PARAMS = {
  name: {'kernel': jnp.arange(-4.0, 4.0).reshape(4, 2), 'bias': jnp.ones(2)}
  for name in ('dense', 'out')
}


def test_all_kernels_but_the_last_have_a_threshold_a_channel():
  reparam = ternary.reparam(ternary_config.Ternary())
  latent, _ = reparam.init(KEY, PARAMS)
  assert {k: v.shape for k, v in latent['thresholds'].items()} == {
    'dense.kernel': (2,)
  }
  # Thresholds and weights have their turns.
  assert len(reparam.optimizers(optax.adam(0.1), latent)) == 2
  assert reparam.describe(PARAMS)['ternary'] == {
    'scheme': 'truncated_gaussian',
    'granularity': 'channel',
    'leaves': ['dense/kernel'],
  }


def test_settings_reach_the_reparametrization():
  settings = ternary_config.Ternary(
    scheme='twn', granularity='layer', leaves=('out/kernel',),
    threshold_init='max', thresholds_first=False,
  )  # fmt: skip
  made = ternary.reparam(settings)
  # Equal settings give one object.
  assert made is ternary.ternary(
    scheme='twn', granularity='layer', leaves=('out/kernel',),
    threshold_init='max', thresholds_first=False,
  )  # fmt: skip
  latent, _ = made.init(KEY, PARAMS)
  np.testing.assert_allclose(latent['thresholds']['out.kernel'], 0.7 * 2.0)


def test_critics_are_ternary_on_demand_with_the_same_settings_at_once():
  plain = ternary.critic_reparam(ternary_config.Ternary(critic=False))
  assert plain == base.identity()
  settings = ternary_config.Ternary(
    scheme='ttq', granularity='layer', leaves=('dense/.*el',), critic=True
  )
  made = ternary.critic_reparam(settings)
  latent, _ = made.init(KEY, PARAMS)
  assert len(made.optimizers(optax.adam(0.1), latent)) == 1
  assert made.describe(PARAMS) == ternary.reparam(settings).describe(PARAMS)


@pytest.mark.parametrize(
  ('settings', 'match'),
  [
    ({'distill': -1.0}, 'distill -1.0 is negative'),
    ({'distill': float('nan')}, 'distill nan'),
    ({'scheme': 'binary'}, 'scheme'),
    ({'granularity': 'row'}, 'granularity'),
    ({'threshold_init': 'mean'}, 'threshold_init'),
  ],
)
def test_bad_settings_are_refused_where_they_are_made(settings, match):
  with pytest.raises(ValueError, match=match):
    ternary_config.Ternary(**settings)
