"""Trains the localiser on a corpus of pictures."""
