"""One module per verb: fetch, decide, store. The command line and the Python API call these."""
