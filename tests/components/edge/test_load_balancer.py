"""The product's load balancer (sandbox/tests/test_envoy.py is about the local cloud's)."""

from collections.abc import Mapping
from typing import Any

from components.edge.load_balancer import TLS_POLICY, LoadBalancer
from components.edge.log_bucket import LogBucket, LogBucketArgs
from tests.support import samples
from tests.support.engine import Engine, in_stack


def doors(engine: Engine, kind: str) -> set[tuple[int, str]]:
    """Ports and networks of the security group's rules of one direction."""
    rules = [r.inputs for r in engine.registrations.values() if r.type.endswith(kind)]
    assert all(rule["fromPort"] == rule["toPort"] and rule["ipProtocol"] == "tcp" for rule in rules)
    return {(rule["fromPort"], rule["cidrIpv4"]) for rule in rules}


@in_stack
async def test_only_what_is_meant_to_come_in_comes_in(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    await engine.settle()
    assert doors(engine, "SecurityGroupIngressRule") == {
        (443, "0.0.0.0/0"),
        (80, "0.0.0.0/0"),
        (8443, "10.9.0.0/16"),
    }


@in_stack
async def test_it_reaches_nothing_but_the_services_ports_of_the_pods(engine: Engine) -> None:
    LoadBalancer(
        "edge", samples.change(samples.LOAD_BALANCER, pod_cidrs=["10.1.0.0/16", "10.2.0.0/16"], pod_ports={80, 8080})
    )
    await engine.settle()
    assert doors(engine, "SecurityGroupEgressRule") == {
        (port, cidr) for port in (80, 8080) for cidr in ("10.1.0.0/16", "10.2.0.0/16")
    }
    group = await engine.inputs("edge-firewall")
    assert "ingress" not in group
    assert "egress" not in group


@in_stack
async def test_what_no_rule_answers_is_not_found_which_is_no_failure_of_the_load_balancer(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    for name in ("edge-https", "edge-test"):
        (action,) = (await engine.inputs(name))["defaultActions"]
        assert (action["type"], action["fixedResponse"]["statusCode"]) == ("fixed-response", "404")


@in_stack
async def test_plain_http_is_only_redirected(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    listener = await engine.inputs("edge-http")
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert listener["defaultActions"] == [
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}}
    ]


def headers(listener: Mapping[str, Any]) -> dict[str, str]:
    """Return the response headers that a listener sets, by the middle of their argument's name."""
    return {
        key.removeprefix("routingHttpResponse").removesuffix("HeaderValue"): value
        for key, value in listener.items()
        if key.endswith("HeaderValue")
    }


@in_stack
async def test_both_tls_listeners_have_a_modern_policy_and_security_headers(engine: Engine) -> None:
    LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, test_listener_port=9443))
    for name, port in (("edge-https", 443), ("edge-test", 9443)):
        listener = await engine.inputs(name)
        assert (listener["port"], listener["protocol"], listener["sslPolicy"]) == (port, "HTTPS", TLS_POLICY)
        assert "TLS13" in TLS_POLICY
        assert listener["certificateArn"].endswith("certificate/0")
        assert listener["routingHttpResponseServerEnabled"] is False
        sent = headers(listener)
        assert sent["StrictTransportSecurity"].startswith("max-age=")
        assert "frame-ancestors 'none'" in sent["ContentSecurityPolicy"]
        assert sent["XContentTypeOptions"] == "nosniff"
        assert sent["XFrameOptions"] == "DENY"


@in_stack
async def test_no_other_origin_may_read_answers_unless_one_is_named(engine: Engine) -> None:
    LoadBalancer("closed", samples.LOAD_BALANCER)
    LoadBalancer("open", samples.change(samples.LOAD_BALANCER, cors_origin="https://www.example.com"))
    for suffix in ("https", "test"):
        assert not [name for name in headers(await engine.inputs(f"closed-{suffix}")) if name.startswith("Access")]
        assert headers(await engine.inputs(f"open-{suffix}"))["AccessControlAllowOrigin"] == "https://www.example.com"


@in_stack
async def test_a_page_may_be_given_a_policy_of_its_own(engine: Engine) -> None:
    LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, content_security_policy="default-src 'none'"))
    for name in ("edge-https", "edge-test"):
        assert headers(await engine.inputs(name))["ContentSecurityPolicy"] == "default-src 'none'"


@in_stack
async def test_each_hosts_certificate_is_on_both_tls_listeners_beside_the_default_one(engine: Engine) -> None:
    arns = {"shop.example.com": "arn:shop", "cart.example.com": "arn:cart"}
    LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, extra_certificate_arns=arns))
    for suffix in ("https", "test"):
        listener = (await engine.resource(f"edge-{suffix}")).computed["arn"]
        for host, arn in arns.items():
            attached = await engine.inputs(f"edge-{suffix}-{host}", "ListenerCertificate")
            assert attached == {"listenerArn": listener, "certificateArn": arn}
    assert len(await engine.of_type("ListenerCertificate")) == 4


@in_stack
async def test_both_kinds_of_logs_are_switched_on_and_wait_for_the_buckets_policy(engine: Engine) -> None:
    bucket = LogBucket("logs", LogBucketArgs(context=samples.change(samples.CONTEXT, production=True)))
    LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, log_bucket=bucket.name))
    balancer = await engine.resource("edge-alb")
    for kind in ("access", "connection"):
        logs = balancer.inputs[f"{kind}Logs"]
        assert (logs["bucket"], logs["enabled"]) == (
            (await engine.resource("logs-bucket", "Bucket")).computed["bucket"],
            True,
        )
        assert logs["prefix"].endswith(kind)
    assert (await engine.resource("logs-policy")).urn in engine.ancestry(balancer.urn)


@in_stack
async def test_without_a_bucket_logs_are_switched_off_not_left_as_they_are(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    balancer = await engine.inputs("edge-alb")
    for kind in ("access", "connection"):
        logs = balancer[f"{kind}Logs"]
        assert (logs["bucket"], logs["enabled"]) == ("", False)


@in_stack
async def test_every_weak_default_is_stated(engine: Engine) -> None:
    LoadBalancer(
        "edge", samples.change(samples.LOAD_BALANCER, idle_timeout=50, internal=True, deletion_protection=True)
    )
    balancer = await engine.inputs("edge-alb")
    stated = {
        "dropInvalidHeaderFields": True,
        "desyncMitigationMode": "defensive",
        "enableDeletionProtection": True,
        "enableZonalShift": True,
        "enableWafFailOpen": False,
        "xffHeaderProcessingMode": "append",
        "idleTimeout": 50,
        "internal": True,
        "ipAddressType": "ipv4",
    }
    assert stated.items() <= balancer.items()


@in_stack
async def test_only_clients_that_are_named_reach_the_services(engine: Engine) -> None:
    named = samples.change(samples.LOAD_BALANCER, client_cidrs=["203.0.113.0/24"])
    LoadBalancer("edge", named)
    await engine.settle()
    assert doors(engine, "SecurityGroupIngressRule") == {
        (443, "203.0.113.0/24"),
        (80, "203.0.113.0/24"),
        (8443, "10.9.0.0/16"),
    }


@in_stack
async def test_headers_that_services_send_are_left_to_them_and_the_listener_says_which(engine: Engine) -> None:
    left = ["content-security-policy", "x-frame-options"]
    LoadBalancer("edge", samples.change(samples.LOAD_BALANCER, headers_from_services=left))
    for name in ("edge-https", "edge-test"):
        listener = await engine.inputs(name)
        assert "routingHttpResponseContentSecurityPolicyHeaderValue" not in listener
        assert "routingHttpResponseXFrameOptionsHeaderValue" not in listener
        assert listener["routingHttpResponseXContentTypeOptionsHeaderValue"] == "nosniff"
        assert listener["tags"]["headers-from-services"] == "content-security-policy x-frame-options"
