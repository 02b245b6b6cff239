"""Corpora of images: frames, edits of them, and the one road that all take."""
