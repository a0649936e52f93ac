"""What decides and what walks: registry, placement under capacity's lock, and the one walk that runs user code."""
