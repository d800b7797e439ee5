"""A double of the Pulumi engine that records what a program registers, and is stricter than the SDK's mocks.

Where the SDK's ``MockMonitor`` is lenient in a way the real engine is not, this one follows the engine: a second
registration of one URN is refused, so is a type whose computed properties nobody stated (they would be ``None``), a
preview knows none of these, numbers stay integers, and hooks can be called.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, ParamSpec, cast
from unittest.mock import patch

import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc, settings
from pulumi.runtime.mocks import MockMonitor, Mocks, set_mocks
from pulumi.runtime.proto import provider_pb2, resource_pb2, source_pb2
from pulumi.runtime.stack import wait_for_rpcs

PROJECT: Final = "hueshift"
STACK: Final = "test"
STACK_TYPE: Final = "pulumi:pulumi:Stack"
UNKNOWN: Final = "<unknown>"
"""In recorded inputs: a value that only an update can know."""


@dataclass(frozen=True)
class Secret:
    """In recorded inputs: a value that the engine would encrypt."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource, as the engine would have seen it: camelCase inputs, options, and the outputs it was answered."""

    urn: str
    type: str
    name: str
    parent: str
    """The parent's URN."""
    custom: bool
    inputs: Mapping[str, Any]
    computed: Mapping[str, Any]
    waits_for: frozenset[str]
    """URNs of the resources this one directly depends on, through an input or ``depends_on``."""
    request: resource_pb2.RegisterResourceRequest
    """The request itself, for the options: ``protect``, ``ignoreChanges``, ``hooks`` and so on."""


class Engine(MockMonitor):
    """What a program registered under this monitor, and the answers it was given."""

    def __init__(self, *, stack: str = STACK, preview: bool = False) -> None:
        super().__init__(cast(Mocks, None))
        self.stack = stack
        self.preview = preview
        self.registrations: dict[str, Registration] = {}
        self.outputs: dict[str, Mapping[str, Any]] = {}
        """What each component and the stack registered as outputs, by URN."""
        self.exports: dict[str, Any] = {}
        """What the stack exported, where `tests/support/program.py` ran one."""
        self.hooks: dict[str, pulumi.ResourceHook] = {}
        self.answers: dict[str, Answer] = {**ANSWERS, "aws:ec2/getSubnet:getSubnet": subnets_in("vpc-1")}
        """What each provider function answers, by token; any other call fails the test."""
        self.asked: set[str] = set()
        """The tokens of the provider functions that were called."""
        self.computed: dict[str, Mapping[str, Any]] = dict(COMPUTED)
        """What each AWS type computes, ``{name}`` standing for the physical name; a type not named here is refused."""

    # What tests read.

    async def settle(self) -> None:
        """Wait until every registration made so far was answered; raise the first that failed."""
        await asyncio.sleep(0)  # registrations enter the queue one turn of the loop after the constructor
        await wait_for_rpcs(await_all_outstanding_tasks=False)

    async def resource(self, name: str, type_: str = "") -> Registration:
        """Return the one resource with this name and, if given, with a type that ends so."""
        await self.settle()
        found = [r for r in self.registrations.values() if r.name == name and r.type.endswith(type_)]
        if len(found) != 1:
            names = sorted(r.name for r in self.registrations.values())
            raise AssertionError(f"{len(found)} resources are called {name!r} {type_}; registered: {', '.join(names)}")
        return found[0]

    async def inputs(self, name: str, type_: str = "") -> Mapping[str, Any]:
        """Return the inputs of that resource."""
        return (await self.resource(name, type_)).inputs

    async def of_type(self, type_: str) -> list[Registration]:
        """Return all resources whose type ends so, in order of registration; never empty."""
        await self.settle()
        found = [r for r in self.registrations.values() if r.type.endswith(type_)]
        if not found:
            types = sorted({r.type for r in self.registrations.values()})
            raise AssertionError(f"no resource has the type {type_!r}; registered: {', '.join(types)}")
        return found

    def ancestry(self, urn: str) -> set[str]:
        """Return URNs of everything that must exist before this resource: what it waits for, and so on."""
        seen: set[str] = set()
        todo = [urn]
        while todo:
            new = self.registrations[todo.pop()].waits_for - seen
            seen |= new
            todo.extend(new & self.registrations.keys())
        return seen

    # What the SDK calls.

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:  # noqa: N802
        urn = urn_of(self.stack, request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if urn in self.registrations:
            raise ValueError(f"duplicate resource URN {urn!r}: try giving it a unique name")
        inputs = plain(request.object)
        computed = self._computed(request.type, request.name, inputs) if request.custom else {}
        self.registrations[urn] = Registration(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            inputs=inputs,
            computed=computed,
            waits_for=frozenset(request.dependencies),
            request=request,
        )
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        for key, value in computed.items():
            if isinstance(value, Mapping):
                answer.fields[key].struct_value.update(value)
            else:
                answer.update({key: value})
        identity = f"{request.name}-id" if request.custom and not self.preview else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=computed.get("arn", identity), object=answer)

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> empty_pb2.Empty:  # noqa: N802
        if request.urn in self.outputs:
            raise ValueError(f"outputs of {request.urn!r} were registered twice")
        self.outputs[request.urn] = plain(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> provider_pb2.InvokeResponse:  # noqa: N802
        if request.tok not in self.answers:
            raise AssertionError(f"the program called {request.tok}, to which this test has no answer")
        self.asked.add(request.tok)
        answer, found = provider_pb2.InvokeResponse(), self.answers[request.tok]
        try:
            getattr(answer, "return").update(found(plain(request.args)) if callable(found) else found)
        except LookupError as error:
            answer.failures.add(reason=str(error.args[0]))
        return answer

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> NoReturn:  # noqa: N802
        raise AssertionError(f"the program read {request.type} {request.id}, to which this test has no answer")

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """Stand in for the callback server, which the SDK offers hooks to."""
        if hook.name in self.hooks:
            raise ValueError(f"the hook {hook.name!r} was registered twice")
        self.hooks[hook.name] = hook

    def _computed(self, type_: str, name: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the provider adds to the inputs. Names are chosen in Check, so a preview knows those too."""
        random = f"{name}-x7k2"
        if type_.startswith("kubernetes:"):
            return {"metadata": {"name": inputs.get("metadata", {}).get("name", random)}}
        if type_ not in self.computed:
            raise AssertionError(f"tests/support/engine.py does not say what {type_} computes")
        physical = inputs.get("name", random)
        return {
            key: _named(value, physical)
            for key, value in self.computed[type_].items()
            if key == "name" or not self.preview
        }


def _named(value: Any, name: str) -> Any:  # noqa: ANN401 - as the provider computes it
    match value:
        case str():
            return value.format(name=name)
        case list():
            return [_named(item, name) for item in value]
        case Mapping():
            return {key: _named(item, name) for key, item in value.items()}
    return value


def urn_of(stack: str, parent: str, type_: str, name: str) -> str:
    """Return the URN as the engine makes it: with the types of the parents, but without their names and the stack's."""
    chain = parent.split("::")[2] if parent else ""
    qualified = f"{chain}${type_}" if chain and chain != STACK_TYPE else type_
    return f"urn:pulumi:{stack}::{PROJECT}::{qualified}::{name}"


def plain(properties: struct_pb2.Struct) -> dict[str, Any]:
    """Return properties off the wire as plain values."""
    return cast(dict[str, Any], _plain(json_format.MessageToDict(properties)))


def _plain(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case rpc.UNKNOWN:
            return UNKNOWN
        case {rpc._special_sig_key: rpc._special_secret_sig, "value": secret}:
            return Secret(_plain(secret))
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value


_ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
_ACM = "arn:aws:acm:eu-west-1:123456789012:certificate/{name}"
COMPUTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "aws:acm/certificate:Certificate": {
        "arn": _ACM,
        "domainValidationOptions": [
            {
                "domainName": "{name}",
                "resourceRecordName": "_proof.{name}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_value.{name}.acm-validations.aws.",
            }
        ],
    },
    "aws:acm/certificateValidation:CertificateValidation": {},
    "aws:cloudwatch/eventRule:EventRule": {"arn": "arn:aws:events:eu-west-1:123456789012:rule/{name}"},
    "aws:cloudwatch/eventTarget:EventTarget": {},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "name": "{name}",
        "arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}",
    },
    "aws:cloudwatch/dashboard:Dashboard": {"dashboardArn": "arn:aws:cloudwatch::123456789012:dashboard/{name}"},
    "aws:cloudwatch/logGroup:LogGroup": {"arn": "arn:aws:logs:eu-west-1:123456789012:log-group:{name}"},
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": {},
    "aws:cloudwatch/queryDefinition:QueryDefinition": {"queryDefinitionId": "{name}"},
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": {"arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}"},
    "aws:ec2/securityGroup:SecurityGroup": {
        "name": "{name}",
        "arn": "arn:aws:ec2:eu-west-1:123456789012:security-group/{name}",
    },
    "aws:kms/alias:Alias": {"name": "{name}", "arn": "arn:aws:kms:eu-west-1:123456789012:{name}"},
    "aws:kms/key:Key": {"arn": "arn:aws:kms:eu-west-1:123456789012:key/{name}", "keyId": "{name}"},
    "aws:lb/listenerCertificate:ListenerCertificate": {},
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": {},
    "aws:ecr/repository:Repository": {
        "arn": "arn:aws:ecr:eu-west-1:123456789012:repository/{name}",
        "repositoryUrl": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/{name}",
    },
    "aws:ecr/repositoryPolicy:RepositoryPolicy": {},
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": {"associationId": "a-{name}"},
    "aws:iam/role:Role": {"name": "{name}", "arn": "arn:aws:iam::123456789012:role/{name}"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {},
    "aws:lb/listener:Listener": {"arn": f"{_ARN}:listener/app/edge/0/{{name}}"},
    "aws:lb/listenerRule:ListenerRule": {"arn": f"{_ARN}:listener-rule/app/edge/0/0/{{name}}"},
    "aws:lb/loadBalancer:LoadBalancer": {
        "name": "{name}",
        "arn": f"{_ARN}:loadbalancer/app/{{name}}/0",
        "arnSuffix": "app/{name}/0",
        "dnsName": "{name}.eu-west-1.elb.amazonaws.com",
        "zoneId": "Z32O12XQLNTSW2",
    },
    "aws:lb/targetGroup:TargetGroup": {
        "name": "{name}",
        "arn": f"{_ARN}:targetgroup/{{name}}/0",
        "arnSuffix": "targetgroup/{name}/0",
    },
    "aws:route53/healthCheck:HealthCheck": {"arn": "arn:aws:route53:::healthcheck/{name}"},
    "aws:route53/record:Record": {"fqdn": "{name}"},
    "aws:s3/bucket:Bucket": {"bucket": "{name}", "arn": "arn:aws:s3:::{name}"},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {},
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {},
    "aws:s3/bucketPolicy:BucketPolicy": {},
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {},
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {},
    "aws:secretsmanager/secret:Secret": {
        "name": "{name}",
        "arn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}",
    },
    "aws:secretsmanager/secretPolicy:SecretPolicy": {},
    "aws:secretsmanager/secretRotation:SecretRotation": {},
    "aws:sfn/stateMachine:StateMachine": {
        "arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:{name}",
        "name": "{name}",
    },
    "aws:sns/topic:Topic": {"name": "{name}", "arn": "arn:aws:sns:eu-west-1:123456789012:{name}"},
    "aws:sns/topicPolicy:TopicPolicy": {},
    "aws:sns/topicSubscription:TopicSubscription": {"arn": "arn:aws:sns:eu-west-1:123456789012:topic:{name}"},
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {"arn": "arn:aws:ec2:::security-group-rule/{name}"},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"arn": "arn:aws:ec2:::security-group-rule/{name}"},
    "docker:index/image:Image": {"repoDigest": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:{'d' * 64}"},
    "aws:wafv2/webAcl:WebAcl": {"arn": "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/{name}/0"},
    "aws:wafv2/webAclAssociation:WebAclAssociation": {},
}
"""What the provider computes; ``name`` it chooses in Check, so that even a preview knows it."""

Answer = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What a function answers, whatever it is asked, or by its arguments; a LookupError is the provider's refusal."""


def subnets_in(vpc_id: str) -> Answer:
    """Answer what ``ec2.get_subnet`` does of any id: a network each, and zones in turn."""
    seen: list[str] = []

    def subnet(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if arguments["id"] not in seen:
            seen.append(arguments["id"])
        number = seen.index(arguments["id"])
        zone = f"eu-west-1{'abc'[number % 3]}"
        return {
            "id": arguments["id"],
            "vpcId": vpc_id,
            "availabilityZone": zone,
            "cidrBlock": f"10.0.{number}.0/24",
        }

    return subnet


ANSWERS: Final[Mapping[str, Answer]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": "123456789012"},
    "aws:index/getRegion:getRegion": {"region": "eu-west-1"},
    "aws:ec2/getVpc:getVpc": lambda arguments: {
        "id": arguments["id"],
        "cidrBlockAssociations": [
            {"cidrBlock": "10.0.0.0/16", "state": "associated"},
            {"cidrBlock": "100.64.0.0/16", "state": "associated"},
            {"cidrBlock": "10.9.0.0/16", "state": "disassociated"},
        ],
    },
    "aws:lb/getLbs:getLbs": {"arns": []},
    "aws:route53/getZone:getZone": lambda arguments: {"name": arguments["name"], "zoneId": "Z0123456789"},
}
"""What every program may ask."""


P = ParamSpec("P")


def in_stack(program: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test or a program as a stack: everything it registered is awaited, and what was refused is raised."""
    return cast(Callable[P, None], pulumi.runtime.test(program))  # type: ignore[no-untyped-call]


@contextmanager
def installed(*, stack: str = STACK, preview: bool = False) -> Iterator[Engine]:
    """Run a block against a fresh engine, stack and event loop; futures of one loop cannot be awaited on another."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # What was refused is raised by the stack; here it would be told again, for every output that nobody awaited.
    loop.set_exception_handler(lambda _loop, _context: None)
    engine = Engine(stack=stack, preview=preview)
    settings.ROOT.set(None)
    try:
        set_mocks(cast(Mocks, None), project=PROJECT, stack=stack, preview=preview, monitor=engine)
        settings.SETTINGS.callbacks = engine
        # Where in the program a resource was made: a fifth of the time, for what no test reads.
        with patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace):
            yield engine
    finally:
        settings.SETTINGS.callbacks = None
        settings.ROOT.set(None)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)
