"""Scripts that another environment's Python runs: standard library only, Python 3.8 or newer."""
