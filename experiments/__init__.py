"""Experiments: one folder a claim, each with main.py, train.py, configs."""
