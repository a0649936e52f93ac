"""What `lambdalite demo` runs: handlers of the standard library alone."""
