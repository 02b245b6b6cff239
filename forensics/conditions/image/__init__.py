"""What an image goes through, whatever its label."""
