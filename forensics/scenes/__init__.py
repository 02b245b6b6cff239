"""What is in a frame, what could be edited there, and where."""
