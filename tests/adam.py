"""Adam in NumPy."""

import numpy as np


class Adam:
  """Algorithm 1 of Kingma and Ba, with a rate that falls to zero.

  After `constant` updates the rate falls over `steps`; with 0 steps it is
  constant.
  """

  def __init__(self, rate, beta1, beta2, steps, epsilon, shape, constant=0):
    self.rate, self.steps, self.epsilon = rate, steps, epsilon
    self.constant = constant
    self.beta1, self.beta2 = beta1, beta2
    self.count, self.m, self.v = 0, np.zeros(shape), np.zeros(shape)

  def update(self, gradient):
    """Returns what is added to the parameters."""
    b1, b2 = self.beta1, self.beta2
    fallen = max(self.count - self.constant, 0)
    left = 1.0 - fallen / self.steps if self.steps else 1.0
    rate = self.rate * max(left, 0.0)
    self.count += 1
    self.m = b1 * self.m + (1 - b1) * gradient
    self.v = b2 * self.v + (1 - b2) * gradient**2
    m = self.m / (1 - b1**self.count)
    v = self.v / (1 - b2**self.count)
    return -rate * m / (np.sqrt(v) + self.epsilon)
