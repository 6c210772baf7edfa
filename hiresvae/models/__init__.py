"""The models: one encoder, one top-down walk, any number of rungs."""
