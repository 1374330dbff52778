"""Baselines: where they start and how far they move."""

import jax
import numpy as np
import pytest

from coalesce_jax.methods import adaptation
from coalesce_jax.methods import baselines
from tests import agreement
from tests import small

KEY = jax.random.key(0)


def pixel_nodes(count):
  return [small.generator(k, small.PIXELS) for k in range(count)]


def test_baselines_start_where_they_say():
  nodes, images = pixel_nodes(2), small.images()
  still = adaptation.Config(
    game=small.config(), schedule=small.schedule(1, 1), rate=1e-9
  )
  moved, _ = baselines.transfer(KEY, nodes[0], images, config=still)
  agreement.close(moved.params, nodes[0].params, atol=1e-6)
  mixed, _ = baselines.ensemble(KEY, nodes, images, config=still)
  agreement.close(mixed.params, nodes[0].params, atol=1e-6)
  fresh, _ = baselines.edge_only(KEY, small.PIXELS, images, config=still)
  assert not agreement.equal(fresh.params, nodes[0].params)


def test_transfer_moves_at_a_tenth_of_the_rate():
  node = pixel_nodes(1)[0]
  config = adaptation.Config(
    game=small.config(ema=0.0), schedule=small.schedule(1, 1)
  )
  steps = [
    baselines.transfer(KEY, node, small.images(), config=config, rate=r)[0]
    for r in (1.0, 0.1)
  ]
  full, tenth = (
    np.asarray(g.params['out']['kernel'] - node.params['out']['kernel'])
    for g in steps
  )
  # Critics move less as well, so that only the size is a tenth.
  ratio = np.abs(tenth).mean() / np.abs(full).mean()
  assert ratio == pytest.approx(0.1, rel=0.05)


def test_the_model_average_is_the_mean_of_the_parameters():
  nodes = pixel_nodes(2)
  made = baselines.model_average(nodes, (0.25, 0.75))
  expected = jax.tree.map(
    lambda a, b: 0.25 * a + 0.75 * b, nodes[0].params, nodes[1].params
  )
  agreement.close(made.params, expected, atol=1e-6)
