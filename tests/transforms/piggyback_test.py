"""Filters composed of new ones and of a frozen bank of earlier ones."""

import math
import re

import jax
import numpy as np
import optax
import pytest

from coalesce_jax.core import trees
from coalesce_jax.models import generator as generator_lib
from coalesce_jax.transforms import piggyback

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SHARES = (('a/.*kernel', 0.5), ('b/kernel', 0.25))


def params(seed=0):
  rng = np.random.default_rng(seed)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
  return {
    'a': {'conv': {'kernel': draw(2, 2, 3, 5), 'bias': draw(5)}},
    'b': {'kernel': draw(6, 4)},
    'out': {'kernel': draw(3, 3, 2, 1)},
  }


def family(count, shares=SHARES):
  """Latent parameters of some tasks, with random mixing matrices."""
  bank, latents = piggyback.empty(params(), shares), []
  for t in range(count):
    key = jax.random.fold_in(KEY, t)
    latent, frozen = piggyback.start(key, params(t), bank, shares)
    assert frozen is bank
    latents.append(latent)
    bank = piggyback.grow(bank, latent)
  return latents, bank


def by_loops(free, mix, filters):
  """All filters of a layer, each a sum over the bank, filter by filter."""
  free, mix, filters = (np.asarray(x, np.float64) for x in (free, mix, filters))
  made = [free[..., i] for i in range(free.shape[-1])]
  for p in range(mix.shape[1]):
    total = np.zeros(filters.shape[:-1])
    for n in range(mix.shape[0]):
      total += mix[n, p] * filters[..., n]
    made.append(total)
  return np.stack(made, -1)


def test_a_filter_is_free_or_a_sum_of_whole_filters_of_the_bank():
  latents, _ = family(3)
  # The bank of the third task, by hand: what was free before, in order.
  for t, layers in ((1, latents[:1]), (2, latents[:2])):
    for name, count, u in (('a/conv/kernel', 5, 3), ('b/kernel', 4, 1)):
      flat = [trees.flatten(latent) for latent in layers]
      bank = np.concatenate([f[f'{name}/free'] for f in flat], -1)
      assert bank.shape[-1] == count + (t - 1) * u
      mine = trees.flatten(latents[t])
      assert mine[f'{name}/free'].shape[-1] == u
      wanted = by_loops(mine[f'{name}/free'], mine[f'{name}/mix'], bank)
      banks = piggyback.bank_of(layers, ('a/conv/kernel', 'b/kernel'))
      for apply in (piggyback.apply, piggyback.apply_exactly):
        made = trees.flatten(apply(latents[t], banks))
        np.testing.assert_allclose(made[name], wanted, rtol=1e-5, atol=1e-5)
        assert made[name].shape == trees.flatten(params())[name].shape
        # The rest of the network is free.
        for other in ('a/conv/bias', 'out/kernel'):
          np.testing.assert_array_equal(
            made[other], trees.flatten(params(t))[other]
          )


def test_the_first_task_is_free_and_a_grown_bank_serves_the_tasks_before():
  latents, bank = family(3)
  first = piggyback.apply_exactly(latents[0], bank)
  jax.tree.map(np.testing.assert_array_equal, first, params(0))
  before = piggyback.bank_of(latents[:1], ('a/conv/kernel', 'b/kernel'))
  for apply in (piggyback.apply, piggyback.apply_exactly):
    jax.tree.map(
      np.testing.assert_array_equal,
      apply(latents[1], before), apply(latents[1], bank),
    )  # fmt: skip


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_a_task_may_start_as_an_earlier_one_with_any_share(share):
  latents, bank = family(3)
  shares = (('a/.*kernel', share), ('b/kernel', share))
  for like in latents:
    earlier = piggyback.apply_exactly(like, bank)
    latent, frozen = piggyback.start(KEY, earlier, bank, shares, like)
    made = piggyback.apply(latent, frozen)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
      made, earlier,
    )  # fmt: skip
    flat = trees.flatten(latent)
    u = {0.0: (0, 0), 0.3: (2, 2), 1.0: (5, 4)}[share]
    assert flat['a/conv/kernel/free'].shape[-1] == u[0]
    assert flat['b/kernel/free'].shape[-1] == u[1]
    assert flat['b/kernel/mix'].shape == (4 + 2 * 1, 4 - u[1])
    if not share:
      # Nothing new joins the bank.
      grown = piggyback.grow(bank, latent)
      jax.tree.map(np.testing.assert_array_equal, grown, bank)


def test_a_random_start_has_the_scale_of_a_new_network():
  shape = (4, 4, 8, 64)
  new = {'kernel': 0.02 * RNG.normal(size=shape).astype(np.float32)}
  bank = {'kernel': 0.3 * RNG.normal(size=shape).astype(np.float32)}
  latent, _ = piggyback.start(KEY, new, bank, (('kernel', 0.0),))
  made = piggyback.apply(latent, bank)['kernel']
  np.testing.assert_allclose(np.std(made), 0.02, rtol=0.1)


def test_the_optimizer_sees_no_bank_and_the_gradient_is_that_of_the_sum():
  latents, _ = family(1)
  bank = piggyback.bank_of(latents, ('a/conv/kernel', 'b/kernel'))
  reparam = piggyback.piggyback(bank, SHARES)
  latent, frozen = reparam.init(KEY, params(1))
  moments = jax.tree.leaves(optax.adam(0.1).init(latent))
  assert sum(m.size for m in moments) == 2 * trees.count(latent) + 1
  weights = jax.tree.map(lambda x: RNG.normal(size=x.shape), params())
  loss = lambda latent: sum(  # noqa: E731
    (w * p).sum()
    for w, p in zip(
      jax.tree.leaves(weights),
      jax.tree.leaves(reparam.apply(latent, frozen)),
      strict=True,
    )
  )
  gradient = trees.flatten(jax.grad(loss)(latent))
  # d sum(W * B A) / dA = B^T W.
  wanted = np.asarray(bank['b']['kernel']).T @ weights['b']['kernel'][:, 1:]
  np.testing.assert_allclose(gradient['b/kernel/mix'], wanted, rtol=1e-4)


def test_a_random_bank_keeps_only_the_norms():
  _, bank = family(2)
  other = piggyback.randomised(KEY, bank)
  for name, filters in trees.flatten(bank).items():
    drawn = np.asarray(trees.flatten(other)[name])
    axes = tuple(range(filters.ndim - 1))
    np.testing.assert_allclose(
      (drawn**2).sum(axes), (np.asarray(filters) ** 2).sum(axes), rtol=1e-4
    )
    assert np.abs(drawn - filters).mean() > 0.1


def stored(shapes, free, share, tasks):
  """Counts of the latent parameters and by hand, as shares of the network."""
  shares = ((rf'(?!{free}).*kernel', share),)

  def all_tasks():
    new = jax.tree.map(lambda x: jax.numpy.zeros(x.shape), shapes)
    bank, latents = piggyback.empty(new, shares), []
    for _ in range(tasks):
      latent, _ = piggyback.start(KEY, new, bank, shares)
      latents.append(latent)
      bank = piggyback.grow(bank, latent)
    return latents

  total = trees.count(shapes)
  counted = [trees.count(x) / total for x in jax.eval_shape(all_tasks)]
  assert counted[0] == 1.0
  by_hand = []
  for t in range(1, tasks):
    numbers = 0
    for name, leaf in trees.flatten(shapes).items():
      if not name.endswith('kernel') or re.match(free, name):
        numbers += math.prod(leaf.shape)
        continue
      *each, filters = leaf.shape
      u = -(-filters * round(8 * share) // 8)
      bank = filters + (t - 1) * u
      numbers += math.prod(each) * u + bank * (filters - u)
    by_hand.append(numbers / total)
  np.testing.assert_allclose(counted[1:], by_hand, rtol=1e-12)
  return by_hand


@pytest.mark.parametrize(
  ('network', 'free', 'wanted'),
  [
    ('unet', 'down_0/|up_0/', {0.25: (0.285, 0.3025)}),
    ('resnet', 'stem/|out/', {0.125: (0.226, 0.250)}),
    pytest.param(
      'unet', 'down_0/|up_0/', {0.125: (0.166, 0.176)}, marks=pytest.mark.slow
    ),
    pytest.param(
      'resnet', 'stem/|out/', {0.25: (0.336, 0.379)}, marks=pytest.mark.slow
    ),
  ],
)
def test_what_a_task_stores_is_the_counted_share_of_a_network(
  network, free, wanted
):
  depth = {'downs': 8} if network == 'unet' else {'blocks': 9}
  spec = generator_lib.Spec(
    network, 0, (64, 64, 3), generator_lib.freeze({'width': 64} | depth),
    condition_shape=(64, 64, 3),
  )  # fmt: skip
  shapes = jax.eval_shape(spec.build().init, KEY)
  for share, (second, fourth) in wanted.items():
    counted = stored(shapes, free, share, 4)[::2]
    np.testing.assert_allclose(counted, [second, fourth], rtol=0.01)


def test_what_does_not_fit_is_refused():
  latents, bank = family(1)
  for shares, match in (
    ((('a/.*kernel', 1.5),), 'not in'),
    ((('(', 0.5),), 'no regular expression'),
    ((('c/kernel', 0.5),), 'matches none'),
    ((('a/conv/bias', 0.5),), 'has no filters'),
    ((('b/kernel', 0.5),), 'the rules name'),
  ):
    with pytest.raises(ValueError, match=match):
      piggyback.start(KEY, params(), bank, shares)
  wide = params() | {'b': {'kernel': np.zeros((7, 4), np.float32)}}
  with pytest.raises(ValueError, match='does not fit the bank'):
    piggyback.start(KEY, wide, bank, SHARES)
  with pytest.raises(ValueError, match='do not fit the bank'):
    piggyback.grow(bank, {'a': latents[0]['a']})
