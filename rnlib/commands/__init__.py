"""The commands of `python -m rnlib`, a module for each group; each only parses options and calls the library."""
