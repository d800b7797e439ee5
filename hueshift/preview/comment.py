"""Writes previews as one Markdown comment: traffic first, then each change, shortened if it is too long."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from hueshift.preview.report import Change, Need, Op, Report, Service, Violation
from hueshift.traffic.live import shown

MARKER: Final = "<!-- hueshift:preview -->"
"""First line of a comment; the pipeline finds the comment to edit by it."""
LIMIT: Final = 64_000
"""Characters; GitHub takes 65,536."""
_BAR: Final = 20
_MARK: Final = {Op.CREATE: "+", Op.UPDATE: " ", Op.REPLACE: "!", Op.DELETE: "-", Op.IMPORT: "+"}
"""First character of a line in a ``diff`` block, which colors it."""
_DONE: Final = {
    Op.REPLACE: "replaced",
    Op.CREATE: "created",
    Op.DELETE: "deleted",
    Op.IMPORT: "taken over as it is",
}
_NAMED: Final = 3
"""How many resources a line names before it counts the rest."""

FOLDS: Final = (
    "advice of the policy pack",
    "names of what is created",
    "old and new values",
    "names of what changes",
    "pictures, costs and warnings",
)
"""Parts that are left out of a comment that is too long, least important first."""


def comment(reports: Sequence[Report], base: str = "") -> str:
    """Return the comment for the previews of several stacks, at most ``LIMIT`` characters.

    ``base`` is the commit that they would be merged into; empty where none is named.
    """
    for folded in range(len(FOLDS) + 1):
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(_lines(reports, base, folded)))
        if len(text) <= LIMIT:
            return text
    return _cut(text)


def sentences(report: Report) -> Iterator[str]:
    """Yield sentences that sum up an update: one for each service that changes, traffic first."""
    if report.errors:
        yield f"**{report.stack}: the preview failed, and so would an update**"
        return
    if refused := {violation.policy for violation in report.violations if violation.mandatory}:
        yield f"**{report.stack}: refused by policy ({', '.join(sorted(refused))})**"
    yield from (f"**{report.stack}**: {_plain(said)}" for said in report.releases)
    for service in report.services:
        if service.missing:
            yield f"**{report.stack}/{service.name}: users reach nothing now**, its production rule has been deleted"
    if fails := [change.name for change in report.changes if change.fails]:
        yield f"**{report.stack}: the update would stop** at {_names(fails)}"
    yield from _asked(report)
    yield from (f"**{report.stack}**: provider {upgrade}" for upgrade in report.providers)
    if report.drift:
        yield f"**{report.stack}**: not as in the state, and the update leaves it so: {_plain(_names(report.drift))}"
    if not report.changes:
        yield f"**{report.stack}**: {'no resource' if report.providers else 'nothing'} changes"
        return
    names = {service.name for service in report.services}
    touched = {change.group for change in report.changes}
    for service in report.services:
        if service.name in touched:
            changes = [change for change in report.changes if change.group == service.name]
            parts = [_traffic(service), *_left_on(service), *_versions(service), *service.notes]
            yield f"**{report.stack}/{service.name}**: {', '.join(parts)}; {_count(changes)}"
    if shared := [change for change in report.changes if change.group not in names]:
        groups = ", ".join(sorted({change.group for change in shared}))
        yield f"**{report.stack}**, shared by its services ({groups}): {_count(shared)}"
    if untouched := names - touched:
        kept = f"{len(untouched)} other services stay" if len(untouched) > 1 else f"{untouched.pop()} stays"
        yield f"**{report.stack}**: {kept} as {'they are' if kept.endswith('stay') else 'it is'}"


def _asked(report: Report) -> Iterator[str]:
    """Yield where live weights differ from the state, and which services could not be read."""
    for service in report.services:
        if service.state is not None:
            live, state = shown(service.before or {}), shown(service.state)
            yield f"**{report.stack}/{service.name}**: live weights are {live}, the state has {state}"
        if service.mixed is not None:
            told = f"{_plain(service.mixed)}; bring them together: `hueshift rollback`"
            yield f"**{report.stack}/{service.name}: its rules disagree**, {told}"
    for reason in dict.fromkeys(service.unasked for service in report.services if service.unasked):
        names = ", ".join(service.name for service in report.services if service.unasked == reason)
        yield (
            f"**{report.stack}**: the weights of {names} are from the state, "
            f"because the load balancer could not be read ({_plain(reason)})"
        )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _traffic(service: Service) -> str:
    before, after = service.before, service.after
    if before is None:
        return f"{'created again' if service.missing else 'new'}, {shown(after or {})}"
    if after is None:
        return f"removed with its address; it had {shown(before)}"
    if service.unknown:
        sides = ((before, "before"), (after, "after"))
        known = "".join(f" ({when}: {shown(weights)})" for weights, when in sides if weights)
        return f"who gets the traffic is known only after the update{known}"
    if service.down:
        gap = "from the end of its old binding until the new targets are healthy and the rule leads to them"
        return f"**down** {gap} ({shown(before)} → {shown(after)})"
    if not service.moves:
        return f"traffic stays ({shown(after)})"
    colors = list(dict.fromkeys([*before, *after]))
    named = {color: f"{color} {version}" if (version := service.version(color)) else color for color in colors}
    return ", ".join(f"{named[color]} {before.get(color, 0)} → {after.get(color, 0)} %" for color in colors)


def _left_on(service: Service) -> Iterator[str]:
    """Yield a note if a flip keeps canaryWeight, because users then still reach the color that they leave.

    It is no refusal: these weights may be intended, and a rollback from a failing color looks the same.
    """
    before, after = service.before or {}, service.after or {}
    swapped = len(after) == 2 and service.moves and dict(zip(after, list(after.values())[::-1], strict=True)) == before
    if swapped and (left := min(after.values())):
        color = min(after, key=lambda each: after[each])
        yield f"{color} keeps {left} % because canaryWeight is still {left}; set it to 0 for a complete flip"


def _versions(service: Service) -> Iterator[str]:
    # Where nothing is known of before, such as of a rule that is taken over, nothing is known to change.
    for color in sorted({*service.ran, *service.runs}) if service.stays and service.ran else ():
        ran, runs = (versions.get(color, "none") for versions in (service.ran, service.runs))
        if ran != runs:
            yield f"{color} {ran} → {runs}"
    before, after = service.header
    if service.stays and before and before != after:
        yield f"x-canary {before} → {after or 'none'}"


def _count(changes: Sequence[Change]) -> str:
    count = Counter(change.op for change in changes)
    said = []
    if updated := count[Op.UPDATE]:
        said.append(f"{updated} resource{'s change' if updated > 1 else ' changes'}")
    for op, done in _DONE.items():
        if number := count[op]:
            noun = "" if said else " resource" if number == 1 else " resources"
            said.append(f"{number}{noun} {'is' if number == 1 else 'are'} {done}")
    if updated and not count[Op.REPLACE]:
        said.append("nothing is replaced")
    if taken := sum(change.imported and change.op is not Op.IMPORT for change in changes):
        said.append(f"{taken} of them taken over")
    return ", ".join(said)


def _lines(reports: Sequence[Report], base: str, folded: int) -> Iterator[str]:
    yield MARKER
    for report in reports:
        yield from (f"- {sentence}" for sentence in sentences(report))
    if made := _made(reports, base):
        yield f"\n_{_plain(made)}. What has been merged or moved since is not in it._\n"
    for report in reports:
        yield from _stack(report, folded)
    if folded:
        shown = "\n".join(f"hueshift preview --stack {report.stack}" for report in reports if report.changes)
        left_out = "; ".join(FOLDS[:folded])
        yield f"\n_Left out, because a comment holds {LIMIT:,} characters: {left_out}. The whole preview:_\n"
        yield from _block("sh", shown.splitlines())


def _made(reports: Sequence[Report], base: str) -> str:
    """Return what the comment is the truth of: a commit, and the time of the oldest preview."""
    times = [report.at for report in reports if report.at]
    said = [*([f"Previewed {min(times)}"] if times else []), *([f"merged into {base}"] if base else [])]
    return ", ".join(said)


def _stack(report: Report, folded: int) -> Iterator[str]:
    if not (report.changes or report.errors or report.violations or report.warnings):
        return
    yield f"\n### {report.stack}\n"
    for error in report.errors:
        yield from _block("text", error.splitlines())
    if report.errors and report.changes:
        yield "Incomplete, up to the failure:\n"
    downtime = [f"- **Downtime**: {change.name}, {change.downtime}" for change in report.changes if change.downtime]
    live = [
        f"- **Live**: {change.name}, {change.live}" for change in report.changes if change.live and not change.downtime
    ]
    by_reason = {
        reason: [change.name for change in report.changes if change.fails == reason]
        for reason in dict.fromkeys(change.fails for change in report.changes if change.fails)
    }
    fails = [f"- **Fails**: {_names(names)}: {reason}" for reason, names in by_reason.items()]
    gates = [f"- **Gate**: {service.name}: {_plain(service.gate)}" for service in report.services if service.gate]
    told = [*fails, *downtime, *live, *gates]
    yield from (*told, *([""] if told else []))
    yield from _refusals([violation for violation in report.violations if violation.mandatory])
    if folded < len(FOLDS):
        for service in report.services:
            if service.moves:
                yield from _block("text", _picture(service))
        touched = {change.group for change in report.changes}
        costs = (line for service in report.services if service.name in touched for line in _cost(service))
        yield from (f"{line}\n" for line in costs)
        yield from (f"- **Warning**: {_plain(warning)}\n" for warning in report.warnings)
    for group in dict.fromkeys(change.group for change in report.changes):
        changes = [change for change in report.changes if change.group == group]
        yield f"<details{' open' if len(changes) <= 20 else ''}><summary>{group}: {_count(changes)}</summary>\n"
        yield from _block("diff", _diff(changes, folded))
        yield "</details>\n"
    yield from _advice(report, folded)


def _cost(service: Service) -> Iterator[str]:
    cost = service.cost
    if cost is None:
        yield f"- **Cost**: {service.name}: how many pods it has is known only after the update"
    elif cost.changes:
        stays = cost.before == cost.after
        sides = f"{_need(cost.before)} before and after" if stays else f"{_need(cost.before)} → {_need(cost.after)}"
        most = "" if cost.during in (cost.before, cost.after) else f", {_need(cost.during)} during the update"
        yield f"- **Cost**: {service.name}, at its peak: {sides}{most}"


def _need(need: Need) -> str:
    size = f" ({need.cpu / 1000:g} CPU, {-(-need.memory // 2**20)} MiB)" if need.pods else ""
    return f"{need.pods} pod{'s' * (need.pods != 1)}{size}"


def _picture(service: Service) -> Iterator[str]:
    before, after = service.before or {}, service.after or {}
    yield f"{service.name:<8}{'before':<{_BAR + 8}}after"
    for color in dict.fromkeys([*before, *after]):
        bars = (f"{_bar(weights.get(color))}" for weights in (before, after))
        yield f"{color:<8}{'  '.join(bars)}".rstrip()


def _bar(weight: int | None) -> str:
    if weight is None:
        return f"{'absent':<{_BAR + 6}}"
    full = min(_BAR, -(-weight * _BAR // 100))  # even 1 % shows
    return f"{'█' * full}{'░' * (_BAR - full)} {weight:>3} %"


def _diff(changes: Iterable[Change], folded: int) -> Iterator[str]:
    short: Counter[str] = Counter()
    for change in changes:
        if folded >= 4 or (folded >= 2 and change.op is Op.CREATE):
            short[f"{_MARK[change.op]} {change.op} {{}} {change.type}"] += 1
            continue
        yield f"{_MARK[change.op]} {change.op} {change.name} ({change.type})"
        if folded < 3:
            for value in change.values:
                because = "  (forces replacement)" if value.replaces else ""
                if value.before is not None:
                    yield f"-   {value.path}: {value.before}"
                if value.after is not None:
                    yield f"+   {value.path}: {value.after}{because}"
    yield from (text.format(number) for text, number in short.items())


def _refusals(violations: Sequence[Violation]) -> Iterator[str]:
    for violation in violations:
        told = f"{violation.resource}: {violation.problem}. {violation.remedy}"
        yield f"- **Refused** by `{violation.policy}`: {_plain(told)}"
    if violations:
        yield ""


def _advice(report: Report, folded: int) -> Iterator[str]:
    advice = [violation for violation in report.violations if not violation.mandatory]
    if report.errors:
        return  # the pack saw only part of the stack
    if not report.policies:
        yield "Policy: no policy pack ran.\n"
    elif not report.violations:
        yield f"Policy: all {report.policies} checks pass.\n"
    elif advice:
        counted = f"{report.policies} checks, {len({violation.policy for violation in advice})} with advice"
        yield f"<details><summary>Policy: {counted}</summary>\n"
        if not folded:
            for policy in dict.fromkeys(violation.policy for violation in advice):
                found = [violation for violation in advice if violation.policy == policy]
                yield f"- `{policy}`: {_plain(found[0].remedy)}"
                yield from (f"  - {violation.resource}: {_plain(violation.problem)}" for violation in found)
        yield "\n</details>\n"


def _cut(text: str) -> str:
    """Return the start of a comment that fits the limit, with open code blocks and folds closed."""
    end = "\n_Cut here: too long for a comment. `hueshift preview` shows all of it._\n"
    room = LIMIT
    while True:
        *lines, last = text[:room].split("\n")
        fence, fold = "", False
        for line in lines:
            if fence:
                fence = "" if line == fence else fence
            elif found := re.match("`{3,}", line):
                fence = found[0]
            else:
                fold = line.startswith("<details") or (fold and line != "</details>")
        cut = "\n".join([*lines, *([last, fence] if fence else []), *(["", "</details>"] if fold else []), end])
        if len(cut) <= LIMIT:
            return cut
        room -= len(cut) - LIMIT


def _plain(text: str) -> str:
    """Return text as one line with HTML escaped, so that forges show ``<digest>`` instead of dropping it as a tag."""
    return html.escape(" ".join(text.split()), quote=False)


def _block(language: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines as a code block whose fence is longer than any in the lines."""
    text = list(lines)
    longest = max((len(run) for line in text for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}{language}", *text, f"{fence}\n")
