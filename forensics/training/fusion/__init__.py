"""Fits `image-fusion`: what each image detector is worth beside the others."""
