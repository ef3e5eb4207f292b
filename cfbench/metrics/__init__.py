"""Metrics of stored counterfactuals; every class in this folder with a ``name`` is registered."""
