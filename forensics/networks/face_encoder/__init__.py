"""A ViT that is pretrained on real faces by masking (FSFM), and what that takes."""
