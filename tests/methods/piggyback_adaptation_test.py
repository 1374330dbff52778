"""Filters of several nodes as a bank for local samples."""

import dataclasses

import jax
import numpy as np
import pytest

from coalesce_jax.core import trees
from coalesce_jax.methods import adaptation
from coalesce_jax.methods import piggyback_adaptation
from coalesce_jax.models import bundle
from coalesce_jax.models import ensembles
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.training import loop
from coalesce_jax.transforms import piggyback
from tests import small

KEY = jax.random.key(0)
OPTIONS = generator_lib.freeze({'hidden': (6, 5)})
SPEC = generator_lib.Spec('mlp', 2, (2,), OPTIONS, 'mlp', OPTIONS)
LAYER = 'dense_1/kernel'


def config(steps=6):
  return adaptation.Config(
    game=small.config(learning_rate=0.01, ema=0.0),
    schedule=small.schedule(steps, 3),
  )


def local(count=20):
  return np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)


def nodes(count=2):
  return [small.generator(k, SPEC) for k in range(count)]


def test_the_start_is_the_first_node_and_the_bank_holds_all_filters():
  given = [trees.flatten(node.params) for node in nodes(3)]
  shares = piggyback_adaptation.rules(SPEC, 0.4)
  latent, bank = piggyback_adaptation.start(
    KEY, [node.params for node in nodes(3)], shares
  )
  np.testing.assert_array_equal(
    trees.flatten(bank)[LAYER], np.concatenate([g[LAYER] for g in given], -1)
  )
  # 0.4 of 5 filters are free, the others are mixed of 15.
  flat = trees.flatten(latent)
  assert flat[f'{LAYER}/free'].shape == (6, 2)
  assert flat[f'{LAYER}/mix'].shape == (15, 3)
  made = trees.flatten(piggyback.apply(latent, bank))
  for name, leaf in given[0].items():
    np.testing.assert_allclose(made[name], leaf, rtol=1e-6)


@pytest.fixture(scope='module', name='observed')
def _observed():
  return {}


@pytest.fixture(scope='module', name='borrowed')
def _borrowed(observed):
  hooks = loop.Hooks(observe=observed.setdefault)
  return piggyback_adaptation.borrow(
    KEY, nodes(), local(), share=0.4, config=config(), hooks=lambda stage: hooks
  )


def test_parameters_of_plain_generators_are_observed(borrowed, observed):
  made, _ = borrowed
  assert list(observed) == [0, 6]
  for got, want in (
    (observed[6], made.params), (observed[0], nodes()[0].params)
  ):  # fmt: skip
    got, want = trees.flatten(got), trees.flatten(want)
    assert sorted(got) == sorted(want)
    for name, leaf in want.items():
      np.testing.assert_allclose(got[name], leaf, rtol=1e-6)


def test_mixed_filters_are_combinations_of_those_of_the_nodes(
  borrowed, tmp_path
):
  made, history = borrowed
  assert history['step'][-1] == 6
  given = [trees.flatten(node.params)[LAYER] for node in nodes()]
  kernel = np.asarray(trees.flatten(made.params)[LAYER], np.float64)
  first = np.asarray(given[0], np.float64)
  assert np.abs(kernel - first).max() > 1e-3
  # A plain bundle, which is read without the bank.
  bundle.save(tmp_path / 'edge.safetensors', made)
  read = bundle.load(tmp_path / 'edge.safetensors')
  assert read.spec.network == 'mlp' and read.critic is not None
  for a, b in zip(
    *(jax.tree.leaves(x.params) for x in (read, made)), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_without_free_filters_the_kernel_stays_in_the_span_of_the_bank():
  # Two nodes of one filter each cannot span R^6.
  options = generator_lib.freeze({'hidden': (6, 1)})
  spec = dataclasses.replace(SPEC, options=options)
  given = [small.generator(k, spec) for k in range(2)]
  made, _ = piggyback_adaptation.borrow(
    KEY, given, local(), share=0.0, config=config()
  )
  bank = np.concatenate(
    [trees.flatten(node.params)[LAYER] for node in given], -1
  ).astype(np.float64)
  kernel = np.asarray(trees.flatten(made.params)[LAYER], np.float64)
  rest = kernel - bank @ np.linalg.lstsq(bank, kernel, rcond=None)[0]
  assert np.abs(kernel - bank[:, :1]).max() > 1e-3
  np.testing.assert_allclose(rest, 0.0, atol=1e-5)


@pytest.mark.slow
def test_every_seed_is_what_it_is_alone(borrowed):
  several = [ensembles.batched([node, node]) for node in nodes()]
  keys = jax.random.split(KEY, 2).at[0].set(KEY)
  images = np.stack([local()] * 2)
  made, _ = piggyback_adaptation.borrow(
    keys, several, images, share=0.4, config=config()
  )
  first = trees.member(made.params, 0)
  for a, b in zip(
    jax.tree.leaves(first), jax.tree.leaves(borrowed[0].params), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_a_node_stores_beside_the_bank_is_counted():
  whole = trees.count(small.generator(spec=SPEC).params)
  assert piggyback_adaptation.stored(SPEC, 0.4, 2) == whole - 30 + 12 + 30
  assert piggyback_adaptation.stored(SPEC, 1.0, 2) == whole


def test_what_cannot_be_borrowed_is_refused():
  other = small.generator(1, dataclasses.replace(SPEC, latent_size=3))
  for given, share, match in (
    ([*nodes(1), other], 0.4, 'one architecture'),
    (nodes(), 1.5, 'not in'),
    ([small.generator(spec=small.VECTORS)] * 2, 0.4, 'matches none'),
  ):
    with pytest.raises(ValueError, match=match):
      piggyback_adaptation.borrow(KEY, given, local(), share=share)
