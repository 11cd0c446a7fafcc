"""The command line, `ns-inject`: a file for each command."""
