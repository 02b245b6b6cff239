"""Corpora of faces: photos of people, look-alikes, forgeries, and what each claims to show."""
