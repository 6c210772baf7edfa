"""The training step, its optimisers and what is kept on disk."""
