"""Trains what vision-language models know of faces: a detection adapter, LoRA, identity tokens."""
