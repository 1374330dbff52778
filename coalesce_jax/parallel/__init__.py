"""Spreads training over several devices."""
