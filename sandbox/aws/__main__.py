"""``python -m sandbox.aws``: the AWS APIs at ``paths.AWS_ENDPOINT`` and the load balancers at 127.0.0.n."""

import os

from sandbox.aws.server import main

# Every account has the policies that AWS manages; a second of each start, so that tests do without.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
main()
