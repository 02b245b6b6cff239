"""What corpora of frames and of faces share: decoding, duplicates, checks, the final encoder."""
