import os

# Read when numpy is loaded. A second thread for the few numbers that one text has would only spin,
# on a core that somebody else needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
