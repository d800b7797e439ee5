"""What a service is said to cost in pods, by the engine's events."""
# ruff: noqa: ANN401 - what JSON holds

from typing import Any

import pytest

from hueshift.preview.events import collect
from hueshift.preview.pods import cost
from hueshift.preview.report import Cost, Need
from tests.hueshift.preview.test_preview import SERVICE, UNKNOWN, Event, step, urn

COLOR = f"{SERVICE}$hueshift:color_environment:ColorEnvironment"
MI = 2**20


def deployment(
    op: str, color: str = "blue", old: Any = None, new: Any = None, path: str = "spec.template.spec", **facts: Any
) -> Event:
    kind = f"{COLOR}$kubernetes:apps/v1:Deployment"
    sides = {which: state for which, state in (("old", old), ("new", new)) if state is not None}
    diff = {"diff": [path]} if op == "update" else {}
    return step(op, kind, f"shop-{color}-deployment", urn(SERVICE, "shop"), **sides, **diff, **facts)


def autoscaler(op: str, most: int, color: str = "blue", before: int | None = None) -> Event:
    def state(most: int) -> dict[str, Any]:
        return {"spec": {"maxReplicas": most, "scaleTargetRef": {"name": f"shop-{color}"}}}

    kind = f"{COLOR}$kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
    sides = {} if op == "create" else {"old": state(most if before is None else before)}
    sides |= {} if op == "delete" else {"new": state(most)}
    return step(op, kind, f"shop-{color}-autoscaler", urn(SERVICE, "shop"), **sides)


def spec(
    cpu: str = "100m",
    memory: str = "128Mi",
    *,
    color: str = "blue",
    replicas: Any = None,
    surge: Any = "100%",
    kind: str = "RollingUpdate",
    **more: Any,
) -> dict[str, Any]:
    container = {"resources": {"requests": {"cpu": cpu, "memory": memory}}}
    strategy = {"type": kind, "rollingUpdate": {"maxSurge": surge}}
    template = {"spec": {"containers": [container], **more}}
    wanted = {} if replicas is None else {"replicas": replicas}
    return {"metadata": {"name": f"shop-{color}"}, "spec": {"strategy": strategy, "template": template, **wanted}}


def needs(*events: Event) -> Cost | None:
    return cost([*collect(events).resources.values()])


def need(pods: int, cpu: int = 100, memory: int = 128) -> Need:
    """Return what so many pods need of one size."""
    return Need(pods=pods, cpu=pods * cpu, memory=pods * memory * MI)


def test_a_service_has_at_most_what_its_autoscalers_may_ask_for_in_both_colors() -> None:
    events = [autoscaler("same", 4), deployment("same", old=spec(), new=spec())]
    events += [autoscaler("same", 4, "green"), deployment("same", "green", spec(color="green"), spec(color="green"))]
    assert needs(*events) == Cost(before=need(8), during=need(8), after=need(8))
    assert not Cost(before=need(8), during=need(8), after=need(8)).changes


def test_an_autoscaler_that_may_ask_for_more_costs_more() -> None:
    found = needs(autoscaler("update", 6, before=4), deployment("same", old=spec(), new=spec()))
    assert found == Cost(before=need(4), during=need(6), after=need(6))
    assert found.changes


@pytest.mark.parametrize(
    ("surge", "kind", "most"),
    [
        pytest.param("100%", "RollingUpdate", 8, id="all new pods of a color start at once"),
        pytest.param(1, "RollingUpdate", 5, id="pod by pod"),
        pytest.param("30%", "RollingUpdate", 6, id="a part of a pod is one"),
        pytest.param(None, "RollingUpdate", 5, id="what Kubernetes takes"),
        pytest.param(9, "RollingUpdate", 8, id="no more than there are"),
        pytest.param("100%", "Recreate", 4, id="the old ones end first"),
    ],
)
def test_new_pods_start_beside_the_old_ones(surge: Any, kind: str, most: int) -> None:
    old = new = spec(surge=surge, kind=kind)
    found = needs(autoscaler("same", 4), deployment("update", old=old, new=new))
    assert found == Cost(before=need(4), during=need(most), after=need(4))


def test_larger_pods_beside_smaller_ones_need_what_both_request() -> None:
    found = needs(autoscaler("same", 4), deployment("update", old=spec("100m", "128Mi"), new=spec("0.5", "1Gi")))
    assert found is not None
    assert found.during == Need(pods=8, cpu=4 * 600, memory=4 * (128 + 1024) * MI)
    assert found.after == need(4, 500, 1024)


def test_what_changes_no_pod_starts_none() -> None:
    found = needs(autoscaler("same", 4), deployment("update", old=spec(), new=spec(), path="metadata.labels"))
    assert found == Cost(before=need(4), during=need(4), after=need(4))


def test_a_color_that_is_parked_or_unparked_has_no_pods_on_one_side() -> None:
    parked, runs = spec(replicas=0), spec()
    up = needs(autoscaler("create", 4), deployment("update", old=parked, new=runs))
    assert up == Cost(before=Need(), during=need(4), after=need(4))
    down = needs(autoscaler("delete", 4), deployment("update", old=runs, new=parked))
    assert down == Cost(before=need(4), during=need(4), after=Need())


def test_a_workload_that_follows_the_active_color_runs_in_both_for_a_moment() -> None:
    on, off = spec(replicas=2), spec(replicas=0)
    events = [deployment("update", color, *sides, path="spec.replicas") for color, sides in
              (("blue", (on, off)), ("green", (off, on)))]  # fmt: skip
    assert needs(*events) == Cost(before=need(2), during=need(4), after=need(2))


def test_a_new_service_costs_all_that_it_has_and_one_that_goes_gives_it_back() -> None:
    assert needs(autoscaler("create", 4), deployment("create", new=spec())) == Cost(
        before=Need(), during=need(4), after=need(4)
    )
    assert needs(autoscaler("delete", 4), deployment("delete", old=spec())) == Cost(
        before=need(4), during=need(4), after=Need()
    )


@pytest.mark.parametrize(
    ("order", "most"),
    [
        (["create-replacement", "replace", "delete-replaced"], 8),
        (["delete-replaced", "replace", "create-replacement"], 4),
    ],
)
def test_a_deployment_that_is_replaced_runs_twice_unless_it_is_deleted_first(order: list[str], most: int) -> None:
    found = needs(autoscaler("same", 4), *(deployment(op, old=spec(), new=spec()) for op in order))
    assert found == Cost(before=need(4), during=need(most), after=need(4))


def test_containers_that_run_beside_the_service_count_and_those_that_end_do_not() -> None:
    beside = {"resources": {"limits": {"cpu": "50m", "memory": "64M"}}}
    whole = spec(initContainers=[{**beside, "restartPolicy": "Always"}, beside])
    found = needs(autoscaler("same", 2), deployment("same", old=whole, new=whole))
    assert found is not None
    assert found.after == Need(pods=2, cpu=300, memory=2 * (128 * MI + 64 * 10**6))


@pytest.mark.parametrize(
    "new", [spec(replicas=UNKNOWN), spec(cpu="lots"), spec(initContainers=UNKNOWN), spec(surge=UNKNOWN)]
)
def test_what_is_known_only_after_the_update_is_not_guessed(new: dict[str, Any]) -> None:
    assert needs(deployment("update", old=spec(), new=new)) is None


def test_a_deployment_that_is_gone_or_taken_over_is_told_as_it_is() -> None:
    gone = [deployment("refresh", old=spec(), new=spec()), deployment("create", new=spec())]
    assert needs(autoscaler("same", 4), *gone) == Cost(before=Need(), during=need(4), after=need(4))
    taken = needs(autoscaler("same", 4), deployment("import", new=spec()))
    assert taken == Cost(before=need(4), during=need(4), after=need(4))
