"""Layers that encoders, decoders and critics share."""
