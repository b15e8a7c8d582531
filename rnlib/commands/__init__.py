"""The commands of `rnlib`: their options in `parsers`, and a module for each group that calls the library."""
