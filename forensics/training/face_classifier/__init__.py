"""Trains the classifier of forged faces on a corpus of faces."""
