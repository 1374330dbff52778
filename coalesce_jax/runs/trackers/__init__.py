"""Trackers of experiments, which a run reports its metrics to."""
