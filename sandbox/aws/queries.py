"""Saved queries of CloudWatch Logs Insights, which moto has not: kept, found again by their name, and never run."""

import json
import time
from typing import Any, Final
from uuid import uuid4

from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.responses import LogsResponse

_MOST: Final = 1000
"""Of an account and region (CloudWatch Logs quotas); as many are told in one answer."""


def _kept(response: LogsResponse) -> dict[str, dict[str, Any]]:
    """Return the queries of the account and region, by id."""
    found: dict[str, dict[str, Any]] = vars(response.logs_backend).setdefault("saved_queries", {})
    return found


def _put(self: LogsResponse) -> str:
    name, text = (self._get_param(key) for key in ("name", "queryString"))
    for key, value, most in (("name", name, 255), ("queryString", text, 10_000)):
        if not value or len(value) > most:
            raise InvalidParameterException(constraint=f"1 to {most} characters", parameter=key, value=value)
    identifier = self._get_param("queryDefinitionId") or str(uuid4())
    if self._get_param("queryDefinitionId") and identifier not in _kept(self):
        raise ResourceNotFoundException(msg="Unable to find the query definition")
    _kept(self)[identifier] = {
        "queryDefinitionId": identifier,
        "name": name,
        "queryString": text,
        "logGroupNames": self._get_param("logGroupNames") or [],
        "lastModified": int(time.time() * 1000),
    }
    return json.dumps({"queryDefinitionId": identifier})


def _describe(self: LogsResponse) -> str:
    prefix = self._get_param("queryDefinitionNamePrefix") or ""
    found = [query for query in _kept(self).values() if query["name"].startswith(prefix)]
    return json.dumps({"queryDefinitions": found[:_MOST]})


def _delete(self: LogsResponse) -> str:
    if _kept(self).pop(self._get_param("queryDefinitionId"), None) is None:
        raise ResourceNotFoundException(msg="Unable to find the query definition")
    return json.dumps({"success": True})


def fill() -> None:
    """Put the three calls beside moto's."""
    LogsResponse.put_query_definition = _put  # type: ignore[attr-defined]
    LogsResponse.describe_query_definitions = _describe  # type: ignore[attr-defined]
    LogsResponse.delete_query_definition = _delete  # type: ignore[attr-defined]
