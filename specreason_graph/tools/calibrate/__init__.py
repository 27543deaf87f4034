"""Finding out what a pair's judge can tell, and fitting its acceptance policy (extra `bench`)."""
