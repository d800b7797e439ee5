"""`python -m tests.e2e.times FILE…`: of reports in JUnit's form the slowest tests, and the sum of each file."""

import sys
from collections import defaultdict
from xml.etree import ElementTree

SLOWEST = 10


def main(*reports: str) -> None:
    """Print it, in seconds."""
    tests: dict[str, float] = {}
    files: defaultdict[str, float] = defaultdict(float)
    for case in (case for report in reports for case in ElementTree.parse(report).iter("testcase")):
        place, seconds = str(case.get("classname")), float(case.get("time", 0))
        tests[f"{place}::{case.get('name')}"] = seconds
        files[place] += seconds
    for times, shown in ((tests, SLOWEST), (files, len(files))):
        for name, seconds in sorted(times.items(), key=lambda each: -each[1])[:shown]:
            sys.stdout.write(f"{seconds:7.0f} s  {name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
