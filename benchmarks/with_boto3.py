"""A handler whose module imports boto3."""

import boto3


def handler(event, context=None):
    return boto3.__version__
