"""Network modules that training and detectors share. Importing any of them imports torch."""
