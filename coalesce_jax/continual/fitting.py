"""Trains a problem through a reparametrization whose frozen part is data.

A game knows the reparametrization of its generator, which is static. What is
frozen, such as a bank of filters, differs between tasks and seeds. Here the
parameters of the game's network are therefore a pair of latent and frozen
parameters, and the network applies the reparametrization itself. Training
returns the latent parameters, which are what a task stores.

Shapes: S seeds.
"""

from collections.abc import Callable, Mapping
import functools
from typing import Any, NamedTuple

import jax

from coalesce_jax.core import keys as keys_lib
from coalesce_jax.core import types
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner
from coalesce_jax.training import loop
from coalesce_jax.training import scan
from coalesce_jax.transforms import base


class Pair(NamedTuple):
  """The parameters of a reparametrised network.

  Attributes:
    latent: what is trained.
    frozen: what is not.
  """

  latent: Any
  frozen: Any


class Fitted(NamedTuple):
  """The result of training, leaves `[S, ...]` for `[S]` keys.

  Attributes:
    latent: latent parameters, averaged over steps.
    critics: parameters of the K critics, one tree each.
    history: metrics by name, `[T, ...]`.
  """

  latent: Any
  critics: list[types.Params]
  history: loop.History


# ``(key, parameters of a new network, given) -> (latent, frozen)``.
Start = Callable[[types.PRNGKey, types.Params, Any], tuple[Any, Any]]


def new(key: types.PRNGKey, params: types.Params, given: Any) -> Any:
  """Starts from a new network."""
  del key, given
  return params, ()


def from_given(key: types.PRNGKey, params: types.Params, given: Any) -> Any:
  """Starts from given parameters of the network."""
  del key, params
  return given, ()


def fit(
  key: types.PRNGKey,
  problem: problems.Problem,
  *,
  start: Start = new,
  given: Any = (),
  reparam: base.Reparam | None = None,
  network: Callable[[types.Network], types.Network] = lambda network: network,
  terms: tuple[terms_lib.Term, ...] = (),
  data: Callable[[Any], Mapping[str, Any]] = lambda given: {},
  args: tuple[Any, ...] | None = None,
  hooks: loop.Hooks | None = None,
) -> Fitted:
  """Trains a problem.

  Args:
    key: one key, or `[S]` keys; consumed. A start from a new network uses the
      random numbers of `problems.train` with this key.
    problem: the problem.
    start: makes the pair that training starts from.
    given: arrays from earlier tasks, leaves `[S, ...]` for `[S]` keys.
    reparam: its `apply` and `penalty` are used, its `init` is not; None is the
      identity.
    network: cached function that makes the network of the parameters that
      `reparam` gives, from the generator of the problem.
    terms: further losses of the generator. They see the parameters of the
      network.
    data: ``given -> data of these terms``, by name.
    args: data in place of those of the problem, leaves `[S, ...]` for `[S]`
      keys.
    hooks: effects of the loop. They observe the parameters of the network.
  """
  key = keys_lib.typed(key)
  method = problem.method
  reparam = base.identity() if reparam is None else reparam

  def setup(key, hyper, given, args):
    ready = problem.setup(key, hyper, *args)
    pair = Pair(*start(jax.random.fold_in(key, 1), ready.generator, given))
    return ready._replace(generator=pair, terms={**ready.terms, **data(given)})

  if args is None:
    args = problems.for_seeds(problem.args, key)
  score = problem.score
  trained = runner.run(
    key,
    setup,
    (given, args),
    method._replace(
      generator=lifted(network(method.generator), reparam),
      reparam=_given(reparam),
      terms=tuple(_seen(reparam, term) for term in (*method.terms, *terms)),
    ),
    hyper=problem.hyper,
    hooks=_seen_by(hooks, reparam, bool(key.ndim)),
    score=None
    if score is None
    else lambda pair, given, args: score(reparam.apply(*pair), *args),
  )
  return Fitted(trained.params.latent, trained.critics, trained.history)


@functools.lru_cache(maxsize=64)
def lifted(network: types.Network, reparam: base.Reparam) -> types.Network:
  """Returns the network whose parameters are a `Pair`.

  Args:
    network: the network of the parameters that `reparam` gives.
    reparam: its `apply` is used.
  """

  def apply(params: Pair, inputs: Any) -> Any:
    return network.apply(reparam.apply(*params), inputs)

  return types.Network(network.init, apply)


@functools.lru_cache(maxsize=64)
def _given(reparam: base.Reparam) -> base.Reparam:
  """Returns the reparametrization of a `Pair` that freezes its second part."""
  return base.Reparam(
    lambda key, pair: (pair.latent, pair.frozen),
    Pair,
    reparam.optimizers,
    reparam.penalty,
  )


def _seen_by(
  hooks: loop.Hooks | None, reparam: base.Reparam, batched: bool
) -> loop.Hooks | None:
  """Returns hooks that observe the parameters of the network."""
  if hooks is None:
    return None
  observe = hooks.observe
  compose = scan.each(reparam.apply, batched)
  return hooks._replace(
    observe=lambda step, pair: observe(step, compose(*pair))
  )


@functools.lru_cache(maxsize=64)
def _seen(reparam: base.Reparam, term: terms_lib.Term) -> terms_lib.Term:
  """Returns a term that gets the parameters of the network."""

  def loss(params: Pair, batch: terms_lib.Batch, data: Any) -> jax.Array:
    return term.loss(reparam.apply(*params), batch, data)

  return terms_lib.Term(loss, term.name)
