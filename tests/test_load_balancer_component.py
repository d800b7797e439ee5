"""The product's load balancer (tests/test_load_balancer.py is about the local cloud's)."""

from dataclasses import replace

from components.load_balancer import TLS_POLICY, LoadBalancer
from tests import samples
from tests.engine import Engine, in_stack


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
    LoadBalancer("edge", replace(samples.LOAD_BALANCER, pod_cidrs=["10.1.0.0/16", "10.2.0.0/16"], pod_ports={80, 8080}))
    await engine.settle()
    assert doors(engine, "SecurityGroupEgressRule") == {
        (port, cidr) for port in (80, 8080) for cidr in ("10.1.0.0/16", "10.2.0.0/16")
    }
    group = await engine.inputs("edge-firewall")
    assert "ingress" not in group
    assert "egress" not in group


@in_stack
async def test_what_no_rule_answers_is_answered_503(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    for name in ("edge-https", "edge-test"):
        (action,) = (await engine.inputs(name))["defaultActions"]
        assert (action["type"], action["fixedResponse"]["statusCode"]) == ("fixed-response", "503")


@in_stack
async def test_plain_http_is_only_redirected(engine: Engine) -> None:
    LoadBalancer("edge", samples.LOAD_BALANCER)
    listener = await engine.inputs("edge-http")
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert listener["defaultActions"] == [
        {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}}
    ]


@in_stack
async def test_both_tls_listeners_have_a_modern_policy_and_security_headers(engine: Engine) -> None:
    LoadBalancer("edge", replace(samples.LOAD_BALANCER, test_port=9443))
    for name, port in (("edge-https", 443), ("edge-test", 9443)):
        listener = await engine.inputs(name)
        assert (listener["port"], listener["protocol"], listener["sslPolicy"]) == (port, "HTTPS", TLS_POLICY)
        assert "TLS13" in TLS_POLICY
        assert listener["certificateArn"].endswith("certificate/0")
        assert listener["routingHttpResponseServerEnabled"] is False
        headers = {
            key.removeprefix("routingHttpResponse").removesuffix("HeaderValue"): value
            for key, value in listener.items()
            if key.endswith("HeaderValue")
        }
        assert headers["StrictTransportSecurity"].startswith("max-age=")
        assert "frame-ancestors 'none'" in headers["ContentSecurityPolicy"]
        assert headers["XContentTypeOptions"] == "nosniff"
        assert headers["XFrameOptions"] == "DENY"


@in_stack
async def test_every_weak_default_is_stated(engine: Engine) -> None:
    LoadBalancer("edge", replace(samples.LOAD_BALANCER, idle_timeout=50, internal=True, deletion_protection=True))
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
