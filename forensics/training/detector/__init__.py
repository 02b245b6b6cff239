"""Detectors of one's own: a corpus in, a weights folder out."""
