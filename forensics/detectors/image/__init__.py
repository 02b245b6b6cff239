"""Detectors of forged images."""
