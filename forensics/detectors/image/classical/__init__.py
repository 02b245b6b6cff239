"""Classical forgery detectors: no weights, one paper and one file each."""
