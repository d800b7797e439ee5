"""The report of the run under traffic: a table, and a plot of what each color answered over time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from tests.e2e.cloud import Answer

mpl.use("Agg")
_COLORS = {"blue": "#2563eb", "green": "#16a34a"}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What was done, and when the command had ended."""

    name: str
    started: float
    ended: float


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def write(folder: Path, answers: Sequence[Answer], phases: Sequence[Phase]) -> None:
    """Write ``traffic.md`` and ``traffic.png`` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "traffic.md").write_text(_table(answers, phases))
    _plot(folder / "traffic.png", answers, phases)


def _table(answers: Sequence[Answer], phases: Sequence[Phase]) -> str:
    rows = [
        "| phase | from (s) | requests | failed | blue | green | p50 (ms) | p99 (ms) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    begin = answers[0].at
    for phase in [*phases, Phase(name="**all**", started=begin, ended=answers[-1].at + 1)]:
        part = [answer for answer in answers if phase.started <= answer.at < phase.ended]
        if not part:
            continue
        colors = Counter(answer.color for answer in part)
        failed = sum(answer.code != 200 for answer in part)
        p50, p99 = (1000 * percentile([answer.seconds for answer in part], share) for share in (0.5, 0.99))
        rows.append(
            f"| {phase.name} | {max(0.0, phase.started - begin):.0f} | {len(part)} | {failed} "
            f"| {colors['blue'] / len(part):.2%} | {colors['green'] / len(part):.2%} | {p50:.1f} | {p99:.1f} |"
        )
    return "\n".join(rows) + "\n"


def _plot(file: Path, answers: Sequence[Answer], phases: Sequence[Phase]) -> None:
    begin, seconds = answers[0].at, int(answers[-1].at - answers[0].at) + 1
    counts = {color: [0] * seconds for color in (*_COLORS, "failed")}
    slowest = [0.0] * seconds
    for answer in answers:
        second = int(answer.at - begin)
        counts[answer.color if answer.code == 200 and answer.color in _COLORS else "failed"][second] += 1
        slowest[second] = max(slowest[second], 1000 * answer.seconds)
    figure, (share, latency) = plt.subplots(
        2, 1, figsize=(12, 6), sharex=True, height_ratios=[3, 1], layout="constrained"
    )
    share.stackplot(
        range(seconds), counts["blue"], counts["green"], counts["failed"],
        colors=[*_COLORS.values(), "#dc2626"], labels=["blue", "green", f"failed ({sum(counts['failed'])})"],
    )  # fmt: skip
    share.set_ylabel("requests per second")
    share.margins(x=0, y=0.2)
    share.legend(loc="lower right", ncols=3)
    latency.plot(range(seconds), slowest, color="#6b7280", linewidth=0.8)
    latency.set_yscale("log")
    latency.set_ylabel("slowest (ms)")
    latency.set_xlabel("seconds")
    top = share.get_ylim()[1]
    for index, phase in enumerate(phases):
        for axis in (share, latency):
            axis.axvline(phase.started - begin, color="black", linewidth=0.8, linestyle=":")
        share.text(phase.started - begin + 0.5, top * (0.98 - 0.05 * (index % 3)), phase.name, fontsize=8, va="top")
    figure.savefig(file, dpi=110)
    plt.close(figure)
