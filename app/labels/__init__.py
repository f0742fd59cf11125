"""Who owns an address: what files and the built-in facts say, merged into one table."""
