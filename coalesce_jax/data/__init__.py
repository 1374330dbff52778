"""Loads data sets and users' images, and splits them over nodes."""
