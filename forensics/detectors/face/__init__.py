"""Detectors of forged faces, with and without knowing whose face it should be."""
