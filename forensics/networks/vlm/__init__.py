"""Vision-language models with a detection adapter and tokens of identities."""
