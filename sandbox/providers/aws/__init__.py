"""A stand-in for the official provider ``pulumi-aws`` 7.29.0, over boto3."""
