"""Facts as frozen values with canonical bytes: what a run, model, data set or environment *was*."""
