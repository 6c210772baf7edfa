"""Gaussians of the latents and likelihoods of the pictures."""
