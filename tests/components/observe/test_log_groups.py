"""Where the pods' lines go, what is counted of them, and what they are asked."""

import json
import re

import pytest

from app import logs
from components.model import log_group
from components.observe.alert_catalog import ALERTS, ERRORS
from components.observe.log_groups import QUERIES, LogGroups, LogGroupsArgs, keep_lines, log_groups_arn, query_name
from components.spec import Logs
from tests.support import samples
from tests.support.engine import Engine, in_stack
from tests.support.program import ROOT

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0"
ARGS = LogGroupsArgs(
    spec=Logs(retention_days=90), context=samples.CONTEXT, services=["shop", "pricing"], kms_key_arn=KEY
)


@in_stack
async def test_each_service_has_a_group_that_its_namespace_names_encrypted_and_not_kept_for_ever(
    engine: Engine,
) -> None:
    LogGroups("logs", ARGS)
    for service in ARGS.services:
        group = await engine.inputs(f"logs-{service}")
        assert group["name"] == f"/hueshift/{samples.CONTEXT.of(service).namespace}"
        assert (group["retentionInDays"], group["kmsKeyId"]) == (90, KEY)
        assert group["tags"]["service"] == service


@in_stack
async def test_in_production_it_is_lost_only_on_purpose(engine: Engine) -> None:
    LogGroups("staging", ARGS)
    LogGroups("production", samples.change(ARGS, environment="production", production=True))
    kept = [(await engine.resource(f"{name}-shop")).request.protect for name in ("staging", "production")]
    assert kept == [False, True]


@in_stack
async def test_lines_that_tell_of_an_error_are_counted_by_color(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    LogGroups("logs", ARGS)
    counted = await engine.inputs("logs-shop-errors")
    assert counted["logGroupName"] == log_group("staging", "shop")
    (metric,) = [counted["metricTransformation"]]
    assert (metric["namespace"], metric["name"], metric["value"]) == ("hueshift/staging/shop", "ErrorLines", "1")
    fields = {metric["dimensions"]["Color"], *re.findall(r"\$\.\w+", counted["pattern"])}
    logs.setup("INFO", color="green", version="1.5.0")
    logs.get("app").error("database failed")
    line = json.loads(capsys.readouterr().out)
    assert fields == {"$.color", "$.level"}
    assert {key.removeprefix("$.") for key in fields} <= line.keys()
    assert f'$.level = "{line["level"]}"' in counted["pattern"]


@in_stack
async def test_each_alert_that_lines_know_of_has_a_query_over_all_groups_and_its_page_names_it(engine: Engine) -> None:
    LogGroups("logs", ARGS)
    assert QUERIES.keys() <= {alert.name for alert in ALERTS}
    assert ERRORS.name in QUERIES
    for alert, query in QUERIES.items():
        made = await engine.inputs(f"logs-{alert}")
        assert made["name"] == query_name("staging", alert)
        assert made["queryString"] == query
        assert made["logGroupNames"] == [log_group("staging", service) for service in ARGS.services]
        assert f"`{query_name('production', alert)}`" in (ROOT / f"docs/alerts/{alert}.md").read_text()


def test_a_query_asks_for_what_the_service_writes() -> None:
    written = {"color", "version", "level", "message", "exception", "request_id"}
    source = (ROOT / "app/observe.py").read_text()
    written |= set(re.findall(r'"(\w+)": ', source.partition('"fields": {')[2].partition("}")[0]))
    assert {"status", "route", "duration_ms"} <= written
    own = {
        "fields",
        "filter",
        "stats",
        "sort",
        "limit",
        "in",
        "or",
        "by",
        "as",
        "desc",
        "count",
        "pct",
        "bin",
        "ispresent",
    }
    for query in QUERIES.values():
        names = set(re.findall(r"(?<![@\w])[a-z]\w*", re.sub(r'"[^"]*"', "", query))) - own
        assert names - set(re.findall(r" as (\w+)", query)) <= written, query


@in_stack
async def test_where_the_settings_ask_for_none_nothing_is_made(engine: Engine) -> None:
    keep_lines(None, samples.CONTEXT, ["shop"], KEY)
    await engine.settle()
    assert engine.registrations == {}
    assert log_groups_arn(None, samples.CONTEXT, "eu-west-1") is None
