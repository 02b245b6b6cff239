"""The learned localiser: where in a picture something was changed, and whether anything was."""
