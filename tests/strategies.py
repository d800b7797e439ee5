"""What hypothesis draws settings from."""

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from components.model import ALARM_PERIOD, ALARM_PERIODS, SHUTDOWN_MARGIN, Color, Timing

# No deadline: a busy machine is no failure.
settings.register_profile("hueshift", deadline=None, max_examples=60)
settings.load_profile("hueshift")

colors = st.sampled_from(Color)
percents = st.integers(0, 100)
canaries = st.integers(0, 99)
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)

_numbers = st.integers(0, 12).map(str)
_identifiers = st.one_of(_numbers, st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True))


@st.composite
def versions(draw: st.DrawFn) -> str:
    """Semantic versions; from few numbers, so that equal and nearly equal ones come up."""
    core = ".".join(draw(st.tuples(_numbers, _numbers, _numbers)))
    pre = draw(st.lists(_identifiers, max_size=3))
    build = draw(st.lists(st.from_regex(r"[0-9A-Za-z-]{1,3}", fullmatch=True), max_size=2))
    return core + (f"-{'.'.join(pre)}" if pre else "") + (f"+{'.'.join(build)}" if build else "")


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    """Times whose chain holds, often only just."""
    slack = st.one_of(st.just(0), st.integers(0, 100))
    longest = draw(st.integers(1, 50))
    deregistration = longest + draw(slack)
    pre_stop = deregistration + 1 + draw(slack)
    timing = Timing(
        longest_request=longest,
        deregistration_delay=deregistration,
        pre_stop=pre_stop,
        grace_period=pre_stop + longest + SHUTDOWN_MARGIN + draw(slack),
        keep_alive=61 + draw(slack),
        stickiness=draw(st.one_of(st.just(0), st.integers(0, 604_800))),
        bake=ALARM_PERIOD * ALARM_PERIODS + draw(slack),
    )
    return replace(timing, keep_old=timing.overlap + draw(slack))


def stack() -> dict[str, Any]:
    """The smallest settings of a stack that has everything optional in some place; a fresh copy for each call."""
    return {
        "network": {"vpcId": "vpc-0a1b2c3d", "subnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"]},
        "loadBalancer": {"certificateArn": "arn:aws:acm:eu-west-1:111122223333:certificate/5d0c1f0e"},
        "alerts": {
            "topicArns": ["arn:aws:sns:eu-west-1:111122223333:on-call"],
            "onCall": "on-call@example.com",
        },
        "services": {
            "shop": {
                "host": "shop.example.com",
                "port": 8080,
                "colors": {
                    "blue": {**color("1.4.0"), "schema": "0001"},
                    "green": {**color("1.5.0"), "schema": "0002"},
                },
                "env": {"LOG_LEVEL": "INFO"},
                "secrets": {"app": {"keys": ["DATABASE_URL", "JWT_SECRET"]}},
            }
        },
    }


def color(version: str) -> dict[str, Any]:
    """The settings of one color, by digest, with a pinned secret."""
    return {
        "image": f"registry.example.com/shop@sha256:{'a' * 64}",
        "version": version,
        "secretVersions": {"app": "00000000-0000-4000-8000-000000000001"},
    }
