"""Reparametrizations: maps from trained parameters to those of a network."""
