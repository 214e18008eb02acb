"""Everything that has to be measured on a machine with a GPU, by one command: `make gpu`."""
