"""``python -m sandbox.aws``: the AWS APIs at ``paths.AWS_ENDPOINT`` and the load balancers at 127.0.0.n."""

from sandbox.aws.server import main

main()
