"""Figures on corpora of faces: who is claimed, and what comparing faces alone achieves."""
