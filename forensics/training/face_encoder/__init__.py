"""Pretrains a face encoder on the real photos of a corpus of faces."""
