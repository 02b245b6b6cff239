"""Corpora of speech: utterances, their road, the copies that engines make of them."""
