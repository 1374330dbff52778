r"""Joins the problems of several tasks into one game with a critic for each.

.. math:: \min_G \frac{1}{K} \sum_k L_k(f_k, G)

One generator learns all tasks at once. Each step draws a batch of each task,
and each critic sees the samples of its own.

Shapes: K tasks, B batch.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from coalesce_jax.core import types
from coalesce_jax.gan import sources
from coalesce_jax.gan import terms as terms_lib
from coalesce_jax.methods import problems
from coalesce_jax.methods import runner

View = Callable[[Any, Any], jax.Array]


def joined(parts: Sequence[problems.Problem]) -> problems.Problem:
  """Returns the problem of learning all tasks at once.

  Its arguments are one tuple for each task. Settings and hyperparameters are
  those of the last one, and a new generator is that of the last one alone.

  Args:
    parts: problems with the same networks and terms.

  Raises:
    ValueError: networks, terms or the shapes of samples differ.
  """
  last, count = parts[-1], len(parts)
  if count == 1:
    return last._replace(setup=_alone(last.setup), args=(last.args,))
  for field in ('generator', 'critic', 'terms', 'view', 'image_shape'):
    if any(
      getattr(p.method, field) != getattr(last.method, field) for p in parts
    ):
      raise ValueError(f'tasks with different {field} cannot be joined')

  def setup(key: types.PRNGKey, hyper: Any, *args: Any) -> runner.Setup:
    keys = [jax.random.fold_in(key, k) for k in range(count - 1)] + [key]
    ready = [
      part.setup(k, hyper, *own)
      for part, k, own in zip(parts, keys, args, strict=True)
    ]
    priors = [r.prior or sources.normal(last.method.latent_size) for r in ready]
    targets = [
      target._replace(weight=target.weight / count)
      for one in ready
      for target in one.targets
    ]
    return ready[-1]._replace(
      targets=targets,
      terms={
        term.name: tuple(one.terms[term.name] for one in ready)
        for term in last.method.terms
      },
      prior=sources.together({_name(k): p for k, p in enumerate(priors)}),
    )

  def score(params: types.Params, *args: Any) -> jax.Array:
    found = [
      part.score(params, *own)
      for part, own in zip(parts, args, strict=True)
      if part.score is not None
    ]
    return jnp.mean(jnp.stack(found))

  method = last.method._replace(
    config=dataclasses.replace(last.method.config, segment=False),
    generator=_each(last.method.generator, count),
    terms=tuple(_mean(term, count) for term in last.method.terms),
    view=_seen(last.method.view, count),
  )
  return problems.Problem(
    setup,
    tuple(part.args for part in parts),
    method,
    last.hyper,
    score if last.score is not None else None,
  )


def _alone(setup: Callable[..., runner.Setup]) -> Callable[..., runner.Setup]:
  return lambda key, hyper, args: setup(key, hyper, *args)


def _name(k: int) -> str:
  return f'task_{k:03}'


@functools.lru_cache(maxsize=64)
def _each(network: types.Network, count: int) -> types.Network:
  def apply(params: types.Params, prior: Any) -> tuple[Any, ...]:
    return tuple(network.apply(params, prior[_name(k)]) for k in range(count))

  return types.Network(network.init, apply)


@functools.lru_cache(maxsize=64)
def _seen(view: View | None, count: int) -> View:
  def seen(prior: Any, samples: Any) -> jax.Array:
    if view is None:
      return jnp.stack(samples)
    shown = [view(prior[_name(k)], samples[k]) for k in range(count)]
    # A generator of several outputs shows each of its critics its own.
    several = not isinstance(samples[0], jax.Array)
    return jnp.concatenate(shown) if several else jnp.stack(shown)

  return seen


@functools.lru_cache(maxsize=64)
def _mean(term: terms_lib.Term, count: int) -> terms_lib.Term:
  def loss(
    params: types.Params, batch: terms_lib.Batch, data: Any
  ) -> jax.Array:
    losses = []
    for k in range(count):
      key = jax.random.fold_in(batch.key, k)
      one = terms_lib.Batch(batch.prior[_name(k)], batch.samples[k], key)
      losses.append(term.loss(params, one, data[k]))
    return jnp.mean(jnp.stack(losses))

  return terms_lib.Term(loss, term.name)
