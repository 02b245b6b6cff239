"""Engines that forge faces."""
