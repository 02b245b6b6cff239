"""Trains the diffusion inpainter on frames."""
