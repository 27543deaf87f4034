"""What models write: token by token, step by step, and the ids of all that is kept."""
