"""Faces in pictures: where they are, what they look like upright, and how alike two of them are."""
