"""Editors that forge images."""
