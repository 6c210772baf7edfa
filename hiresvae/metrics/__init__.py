"""Measures of pictures; none of them knows a model."""
