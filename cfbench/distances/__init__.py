"""Distances between sets of feature vectors, and their intervals: functions of arrays, in float64."""
