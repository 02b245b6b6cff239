"""Engines that live in an environment of their own, run through their documented interface."""
