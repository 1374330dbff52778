"""The game: generators and critics that are trained against each other."""
