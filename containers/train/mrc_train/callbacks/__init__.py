"""What a run does besides computing steps; one tensorpack callback a module."""
