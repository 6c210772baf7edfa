"""The adversary: it sees pictures only, and any model takes it."""
