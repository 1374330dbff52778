"""Recorded layers: names, shapes, and matrices that no layer holds."""

import pytest

from coalesce_jax.networks import registry
from coalesce_jax.networks import tracing

MLP = registry.generator('mlp', latent_size=3, data_shape=(2,), hidden=(4,))


def test_layers_are_recorded_in_order_and_every_time():
  # JAX keeps what it has traced; the second record must not be empty.
  for batch in (5, 5):
    assert tracing.calls(MLP, (batch, 3)) == (
      ('dense_0', 'Dense', (3, 4), (batch, 3), (batch, 4)),
      ('out', 'Dense', (4, 2), (batch, 4), (batch, 2)),
      ('affine', 'Dense', (3, 2), (batch, 3), (batch, 2)),
    )


@pytest.mark.parametrize(
  ('name', 'leaf'), [('cones', 'centers'), ('groupsort', 'kernel_0')]
)
def test_a_matrix_outside_of_layers_is_refused(name, leaf):
  critic = registry.critic(name, data_shape=(2,))
  with pytest.raises(ValueError, match=f'leaf {leaf} .* of no layer'):
    tracing.calls(critic, (1, 2))
