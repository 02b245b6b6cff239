"""Vocoders of one's own: a folder of speech in, a generator's weights out."""
