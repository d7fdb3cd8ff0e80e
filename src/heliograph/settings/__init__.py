"""Options of a server: parsing, checks, defaults."""
