"""The log groups of a stack on the local cloud, whose CloudWatch Logs keeps them and runs no query."""

from functools import partial

import boto3
import pytest

from components.observe.log_groups import QUERIES
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GROUP = "/hueshift/sandbox-shop"


def test_a_setting_makes_groups_counts_and_queries_and_takes_them_away_again() -> None:
    logs = boto3.client("logs")
    saved = partial(logs.describe_query_definitions, queryDefinitionNamePrefix="sandbox-hueshift/")
    with cloud.stack_file():
        cloud.configure("logs.retentionDays", 30)
        # The component, its group, the count and the queries; the key and the dashboard know of them.
        assert cloud.update() == {"create": 3 + len(QUERIES), "update": 2}
        (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
        assert group["retentionInDays"] == 30
        assert ":key/" in group["kmsKeyId"]
        (counted,) = logs.describe_metric_filters(logGroupName=GROUP)["metricFilters"]
        assert counted["metricTransformations"][0]["dimensions"] == {"Color": "$.color"}
        queries = saved()["queryDefinitions"]
        assert {query["name"].partition("/")[2] for query in queries} == set(QUERIES)
        assert all(query["logGroupNames"] == [GROUP] for query in queries)
        assert cloud.update() == {}
    assert logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"] == []
    assert saved()["queryDefinitions"] == []
