"""Where asynchronous events are kept: see `interface`."""
