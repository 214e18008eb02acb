"""The functions of the public Python API; the command line is built on the same functions."""
