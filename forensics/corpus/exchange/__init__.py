"""The formats in which the field passes on forged pictures: `read_labelled`, `export_corpus`."""
