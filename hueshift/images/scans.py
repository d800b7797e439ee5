"""`hueshift image scan`: shows what ECR's scanner found in an image; only a finished scan counts as clean."""
# ruff: noqa: ANN401 - boto3 makes its clients at run time

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Self

import boto3
import typer

from hueshift.report import Json, RefusedError, console, emit, reported
from hueshift.stack import project_folder

PATIENCE: Final = 300.0
"""Seconds; a basic scan takes less than one minute for most images, an enhanced one a few."""
INTERVAL: Final = 5.0
ACCEPTED: Final = "accepted-findings.json"
"""Beside the stack files, and reviewed like them."""
LONGEST: Final = timedelta(days=180)
"""For which a finding may be accepted: until then it is looked at again."""
_UNDER_WAY: Final = {"IN_PROGRESS", "PENDING"}
_DONE: Final = {"COMPLETE", "ACTIVE"}
"""Basic scanning completes; enhanced scanning continues and stays ``ACTIVE``."""
_SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED", "UNDEFINED")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image in ECR by digest."""

    account: str | None
    """Account of the registry; None for the caller's own."""
    region: str | None
    repository: str
    digest: str

    @classmethod
    def named(cls, reference: str) -> Self:
        """Read ``HOST/REPOSITORY@sha256:DIGEST``. Raises ``RefusedError`` if it is not one."""
        host = r"(?:(?P<account>[0-9]{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z.]+|[^/@]+)"
        found = re.fullmatch(rf"{host}/(?P<repository>[^@:]+)@(?P<digest>sha256:[0-9a-f]{{64}})", reference)
        if found is None:
            raise RefusedError(
                f"{reference!r} is not an image by digest; expected as pipeline/build.sh prints it, "
                "<registry>/<repository>@sha256:<64 hex digits>"
            )
        return cls(**found.groupdict())


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A known vulnerability."""

    name: str
    severity: str
    package: str
    """Name and version, if the scanner reports them."""
    uri: str
    suppressed: bool
    """Whether a suppression rule of the registry excludes it, or a person has accepted it."""
    fixable: bool | None
    """Whether a newer package is without it; None if the scanner does not say."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The result of a finished scan."""

    status: str
    counts: Mapping[str, int]
    """Number of findings by severity, worst first."""
    findings: tuple[Finding, ...]

    @property
    def critical(self) -> tuple[Finding, ...]:
        """The findings that block a release."""
        return tuple(item for item in self.findings if item.severity == "CRITICAL" and not item.suppressed)

    @property
    def unlisted(self) -> int:
        """Number of critical findings that are counted but not listed; they block too."""
        listed = sum(item.severity == "CRITICAL" for item in self.findings)
        return max(0, self.counts.get("CRITICAL", 0) - listed)


def scan(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="By digest.", show_default=False)],
    *,
    fixable_only: Annotated[
        bool,
        typer.Option("--fixable-only", help="Let findings pass for which the scanner says that there is no fix."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Wait for ECR's scan of an image and show its findings. Exit status 1 for a critical finding or without a scan.

    accepted-findings.json beside the stack files lists those that people have accepted:
    [{"id": "CVE-2023-45853", "reason": "minizip is not in the image", "until": "2027-01-31", "reviewed": "a.person"}]
    """
    with reported():
        wanted = Image.named(image)
        known = accepted(project_folder() / ACCEPTED, today=datetime.now(UTC).date())
        found = await_scan(boto3.client("ecr", region_name=wanted.region), wanted)
        found = without(found, known, fixable_only=fixable_only)
        if as_json:
            critical = [asdict(item) for item in found.critical]
            emit({"image": image, "status": found.status, "counts": dict(found.counts), "critical": critical})
        else:
            out = console()
            counted = ", ".join(f"{count} {severity.lower()}" for severity, count in found.counts.items())
            out.print(f"{image}: {counted or 'no findings'}")
            for item in found.critical:
                out.print(f"  CRITICAL {item.name} {item.package} {item.uri}".rstrip())
        if number := len(found.critical) + found.unlisted:
            names = ", ".join(item.name for item in found.critical) or "not listed"
            raise RefusedError(
                f"{number} critical {'finding' if number == 1 else 'findings'} in {image}: {names}; "
                "use fixed packages or a newer base image, commit that, and build again; where nothing is to be fixed, "
                f"accept it until a day: {ACCEPTED}"
            )


def accepted(file: Path, *, today: date) -> Mapping[str, str]:
    """Return the ids that people have accepted until a day that is not over, with the reason; empty without the file.

    Raises ``RefusedError`` if the file is wrong.
    """
    if not file.exists():
        return {}
    try:
        items = json.loads(file.read_text())
    except ValueError as error:
        raise RefusedError(f"{file.name} is no JSON: {error}") from None
    keys, found = {"id", "reason", "until", "reviewed"}, {}
    if not isinstance(items, list):
        raise RefusedError(f"{file.name} is to be a list of {', '.join(sorted(keys))}")
    for item in items:
        if (
            not isinstance(item, dict)
            or item.keys() != keys
            or not all(isinstance(it, str) and it for it in item.values())
        ):
            raise RefusedError(f"{file.name}: each entry has {', '.join(sorted(keys))}, as text; this is none: {item}")
        try:
            until = date.fromisoformat(item["until"])
        except ValueError:
            raise RefusedError(
                f"{file.name}: {item['id']}: until is a day such as 2027-01-31, not {item['until']!r}"
            ) from None
        if until > today + LONGEST:
            raise RefusedError(
                f"{file.name}: {item['id']} is accepted until {until}; {LONGEST.days} days at most, so "
                f"{today + LONGEST}"
            )
        if until >= today:
            found[item["id"]] = item["reason"]
        else:
            typer.echo(f"{file.name}: {item['id']} was accepted until {until}, and counts again", err=True)
    return found


def without(found: Scan, known: Mapping[str, str], *, fixable_only: bool) -> Scan:
    """Return a scan in which what is accepted is suppressed, and what cannot be fixed if that is wished."""
    passed = tuple(
        replace(item, suppressed=True) if item.name in known or (fixable_only and item.fixable is False) else item
        for item in found.findings
    )
    for item, before in zip(passed, found.findings, strict=True):
        if item.suppressed and not before.suppressed and item.severity == "CRITICAL":
            typer.echo(f"passed: {item.name} {item.package}: {known.get(item.name, 'no fix is known')}", err=True)
    return replace(found, findings=passed)


def await_scan(api: Any, image: Image) -> Scan:
    """Return the result of the finished scan.

    Raises ``RefusedError`` if there is none, if it failed or has expired, or if it takes too long.
    """
    until = time.monotonic() + PATIENCE
    told = ""
    while (status := _status(api, image))[0] not in _DONE:
        name, text = status
        again = (
            f"scan again: aws ecr start-image-scan --repository-name {image.repository} "
            f"--image-id imageDigest={image.digest}"
        )
        if name is not None and name not in _UNDER_WAY:
            raise RefusedError(
                f"the scan of {image.digest} is {name}{f' ({text})' if text else ''} and proves nothing; {again}"
            )
        if time.monotonic() >= until:
            state = f"is still {name}" if name else "has not begun"
            raise RefusedError(f"the scan of {image.digest} {state} after {PATIENCE:.0f} s; {again}")
        if told != (told := name or "not begun"):
            typer.echo(f"waiting for the scan of {image.digest}: {told} …", err=True)
        time.sleep(INTERVAL)
    return _read(status[0] or "", list(_pages(api, image)))


def _asked(image: Image) -> dict[str, Any]:
    registry = {"registryId": image.account} if image.account else {}
    return {**registry, "repositoryName": image.repository, "imageId": {"imageDigest": image.digest}}


def _status(api: Any, image: Image) -> tuple[str | None, str]:
    """Return the scan's status and ECR's description of it; None as long as the push has started no scan."""
    try:
        answer = api.describe_image_scan_findings(**_asked(image), maxResults=1)
    except api.exceptions.ScanNotFoundException:
        return None, ""
    except (api.exceptions.ImageNotFoundException, api.exceptions.RepositoryNotFoundException):
        raise RefusedError(
            f"ECR has no {image.repository}@{image.digest}; push it first: pipeline/build.sh {image.repository}"
        ) from None
    state = answer.get("imageScanStatus", {})
    return state.get("status", "UNKNOWN"), state.get("description", "")


def _pages(api: Any, image: Image) -> Iterator[Mapping[str, Any]]:
    for page in api.get_paginator("describe_image_scan_findings").paginate(**_asked(image)):
        yield page.get("imageScanFindings", {})


def _read(status: str, pages: list[Mapping[str, Any]]) -> Scan:
    counts = pages[0].get("findingSeverityCounts", {}) if pages else {}
    unknown = sorted(counts.keys() - set(_SEVERITIES))
    return Scan(
        status=status,
        counts={severity: counts[severity] for severity in (*_SEVERITIES, *unknown) if counts.get(severity)},
        findings=tuple(
            item
            for page in pages
            for item in (*map(_basic, page.get("findings", [])), *map(_enhanced, page.get("enhancedFindings", [])))
        ),
    )


def _basic(finding: Mapping[str, Any]) -> Finding:
    said = {item["key"]: item.get("value", "") for item in finding.get("attributes", [])}
    return Finding(
        name=finding.get("name", "unnamed"),
        severity=finding.get("severity", "UNDEFINED"),
        package=f"{said.get('package_name', '')} {said.get('package_version', '')}".strip(),
        uri=finding.get("uri", ""),
        suppressed=False,
        fixable=None,
    )


def _enhanced(finding: Mapping[str, Any]) -> Finding:
    details = finding.get("packageVulnerabilityDetails", {})
    packages = details.get("vulnerablePackages", [])
    return Finding(
        name=details.get("vulnerabilityId") or finding.get("title", "unnamed"),
        severity=finding.get("severity", "UNDEFINED"),
        package=", ".join(f"{item.get('name', '')} {item.get('version', '')}".strip() for item in packages),
        uri=details.get("sourceUrl", ""),
        suppressed=finding.get("status", "ACTIVE") != "ACTIVE",
        fixable={"YES": True, "PARTIAL": True, "NO": False}.get(finding.get("fixAvailable", "")),
    )
