"""Where work is spread over: processes of this machine, or the workers of a Dask cluster, with the same results."""
