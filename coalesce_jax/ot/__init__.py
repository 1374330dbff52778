"""Reference values of optimal transport: solvers, bounds and closed forms."""
