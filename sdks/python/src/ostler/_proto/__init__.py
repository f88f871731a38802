"""Generated from `proto/ostler/worker/v1/worker.proto` by `generate.py`."""
