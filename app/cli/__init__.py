"""What the commands do and show: one file a command's work."""
