"""How well detectors find forged pictures, and where in them."""
