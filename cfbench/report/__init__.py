"""Figures, tables and a page of published records, fit for a paper."""
