"""Reading back: topics, groups and stores, for the commands that show them."""
