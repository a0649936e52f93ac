"""AWS Lambda as a pure-Python library: enforced limits, AWS's own words, no Docker, no daemon, no account."""

__version__ = "0.1.0"
