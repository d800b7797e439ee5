"""`hueshift init`: writes a stack file from what a person knows, and from what AWS and the cluster have."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_type_hints

import typer
from botocore.exceptions import ClientError

from components import rules
from components.context.aws_session import session
from components.spec import Facts, Health, Judge, Service
from hueshift.doctor import verdicts
from hueshift.doctor.facts import OPERATOR, Kubectl, known, public_zones
from hueshift.init import facts, plan
from hueshift.init.plan import Answers, Candidate, Finds, Known
from hueshift.report import LOGIN, RefusedError, reported
from hueshift.stack import declared, defaults, own_values, project_folder
from hueshift.stack_yaml import parsed, read, section

if TYPE_CHECKING:
    import boto3

T = TypeVar("T")

PORT: Final = "8080"
RIGHTS: Final = "docs/init.md#rights"


def init(
    stack: Annotated[str | None, typer.Argument(metavar="STACK", help="The stack, such as staging.")] = None,
    *,
    service: Annotated[str | None, typer.Option(help="The name of the service.", metavar="NAME")] = None,
    host: Annotated[str | None, typer.Option(help="The name by which users reach it.")] = None,
    image: Annotated[str | None, typer.Option(help="Its image; for production by digest.")] = None,
    version: Annotated[str | None, typer.Option(help="The image's version. Default: what its tag says.")] = None,
    port: Annotated[str | None, typer.Option(help=f"The port on which it listens. Default: {PORT}.")] = None,
    health_path: Annotated[
        str | None, typer.Option(help="One path for all health checks. Default: the program's three.")
    ] = None,
    scheme: Annotated[
        Literal["internal", "internet-facing"] | None,
        typer.Option(help="Whether the internet reaches it. Default: internal. It cannot be changed later."),
    ] = None,
    production: Annotated[
        bool | None, typer.Option(help="Whether the strict rules hold. Default: what the stack's name says.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="In production: the team that answers for it.")] = None,
    on_call: Annotated[str | None, typer.Option(help="In production: who is called, and how.")] = None,
    notify: Annotated[
        str | None, typer.Option(help="In production: the address that hears of every alarm.", metavar="EMAIL")
    ] = None,
    tester: Annotated[
        list[str] | None,
        typer.Option(help="A network that may try a color before its flip; may be repeated.", metavar="CIDR"),
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region. Default: the environment's.")] = None,
    cluster: Annotated[str | None, typer.Option(help="The cluster, if there are several.", metavar="NAME")] = None,
    vpc: Annotated[str | None, typer.Option(help="The VPC, if it is not the cluster's.", metavar="ID")] = None,
    subnet: Annotated[
        list[str] | None,
        typer.Option(help="A subnet of the load balancer; repeated, one for each zone.", metavar="ID"),
    ] = None,
    zone: Annotated[str | None, typer.Option(help="The public hosted zone, if several hold the host.")] = None,
    certificate: Annotated[
        str | None, typer.Option(help="The certificate, if several cover the host.", metavar="ARN")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a stack file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the file, and write nothing.")] = False,
) -> None:
    """Write the stack file of a new environment.

    Asks for what only you know, and AWS and the cluster for the rest. Without a terminal options answer. Nothing but
    the file is written, and it is judged first.

    Exit status: 0 written, or printed; 1 refused, and nothing was written.
    """
    with reported():
        try:
            folder = project_folder()
            person = Person() if interactive() else None
            asked = Questions(person)
            name = asked.text("STACK", stack, "Stack", rules.environment_problem)
            asked.complete()
            file = folder / f"Pulumi.{name}.yaml"
            before = read(file) if file.exists() else {}
            if before and not (force or dry_run):
                raise RefusedError(f"{file.name} is there already; replace it with --force, or look with --dry-run")
            answers = _answers(
                asked,
                name,
                given={
                    "service": service, "host": host, "image": image, "version": version, "port": port,
                    "health_path": health_path, "scheme": scheme, "owner": owner, "on_call": on_call, "notify": notify,
                },
                production=production,
                testers=tester or (),
            )  # fmt: skip
            search = Search(person, folder)
            finds = search.finds(
                answers,
                region=asked.region(region),
                cluster=cluster,
                vpc=vpc,
                subnets=subnet or (),
                zone=zone,
                certificate=certificate,
            )
        except typer.Abort:
            raise typer.Exit(130) from None
        kept = {key: before[key] for key in plan.OF_THE_ENGINE if key in before}
        text = plan.written(answers, finds, project=declared(folder)[1], kept=kept)
        if dry_run:
            typer.echo(text, nl=False)
        for note in search.notes:
            typer.echo(f"note: {note}", err=True)
        if search.refusals:
            raise RefusedError("\n  ".join([f"{file.name} is not complete:", *search.refusals]))
        _judge(text, name, folder, region=finds.region.value if finds.region else None)
        if not dry_run:
            file.write_text(text, encoding="utf-8")
            typer.echo(f"{file.name} is written. Next: pulumi stack init {name} (docs/state.md says with which key),")
            typer.echo(f"hueshift doctor --stack {name}, pulumi preview --stack {name}")


def interactive() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


class Person:
    """Somebody at a terminal. Questions go to standard error: a file that is printed has standard output."""

    def text(self, what: str, problem: Callable[[str], str | None] | None, default: str | None) -> str:
        """Ask for a text until it is none with a problem."""

        def judged(said: str) -> str:
            if problem and (reason := problem(said)) is not None:
                raise typer.BadParameter(reason)
            return said

        return str(typer.prompt(what, default=default, value_proc=judged, err=True))

    def one(self, what: str, candidates: Sequence[Candidate]) -> str:
        """Ask for one of several, by its number."""
        for number, each in enumerate(candidates, 1):
            typer.echo(f"  {number}  {each}", err=True)

        def judged(said: str) -> str:
            if said.isdecimal() and 1 <= int(said) <= len(candidates):
                return candidates[int(said) - 1].value
            raise typer.BadParameter(f"{said!r} is none of 1 to {len(candidates)}")

        return str(typer.prompt(f"Which {what}", value_proc=judged, err=True))


class Questions:
    """Asks a person what no option says; without one, notes which options are missing."""

    def __init__(self, person: Person | None) -> None:
        self._person = person
        self._missing: list[str] = []
        self._wrong: list[str] = []

    def text(
        self,
        option: str,
        given: str | None,
        what: str,
        problem: Callable[[str], str | None] | None = None,
        default: str | None = None,
    ) -> str:
        """Return what an option or a person says, or the default; empty if nobody does.

        What an option says wrong is refused before anybody is asked for more.
        """
        if given is not None:
            if problem and (reason := problem(given)) is not None:
                self._wrong.append(f"{option}: {reason}")
            if self._person:
                self.complete()
            return given
        if self._person:
            return self._person.text(what, problem, default)
        if default is None:
            self._missing.append(option)
        return default or ""

    def production(self, stack: str, given: bool | None) -> bool:
        """Return whether the strict rules hold, where the name does not say it."""
        if given is not None or rules.production_problem(stack) is None:
            return rules.is_production(stack, given)
        if self._person:
            return typer.confirm(f"Is {stack} production, with the strict rules?", err=True)
        self._missing.append("--production or --no-production")
        return False

    def region(self, given: str | None) -> Known:
        """Return the region that an option, the environment or a person says.

        Raises ``RefusedError`` if nobody does, or AWS has none of that name.
        """
        environment = os.environ.get("AWS_REGION")  # which the provider heeds, and boto3 does not
        name = given or environment or session(region=None, profile=None, roles=None).region_name or ""
        source = "Of --region." if given else "Of AWS_REGION or the profile."
        if not name:
            name, source = self.text("--region", None, "Region"), "As told."
        self.complete()
        verdict = verdicts.region(name, known=known(session(region=name, profile=None, roles=None)))
        if verdict.remedy:
            raise RefusedError(f"--region: {verdict.said}")
        return Known(name, source)

    def complete(self) -> None:
        """Raise ``RefusedError`` if an option is wrong, or something is missing that nobody can be asked for."""
        missing = [f"no terminal to ask at: give {', '.join(self._missing)}"] if self._missing else []
        if wrong := [*self._wrong, *missing]:
            raise RefusedError("\n  ".join(wrong))


def _answers(
    asked: Questions, stack: str, *, given: dict[str, str | None], production: bool | None, testers: Sequence[str]
) -> Answers:
    """Return what only a person knows."""
    service = asked.text("--service", given["service"], "Name of the service", rules.service_problem)
    host = asked.text("--host", given["host"], "Host", lambda told: rules.host_problem(plan.host_of(told)))
    strict = asked.production(stack, production)
    image = asked.text("--image", given["image"], "Image", lambda told: rules.image_problem(told, production=strict))
    version = asked.text(
        "--version", given["version"] or plan.version_of(image), "Version of the image", rules.version_problem
    )
    port = asked.text("--port", given["port"], "Port", _port_problem, PORT)
    path = asked.text("--health-path", given["health_path"], "Path of its health check", _path_problem, Health().path)
    scheme = asked.text("--scheme", given["scheme"], "Scheme, for life", _scheme_problem, SCHEMES[0])
    if scheme == SCHEMES[1] and not testers:
        what = "Public networks that may try a color before its flip, such as 203.0.113.10/32"
        testers = asked.text("--tester", None, what).replace(",", " ").split()
    owner = asked.text("--owner", given["owner"], "Team that answers for it") if strict else None
    on_call = asked.text("--on-call", given["on_call"], "Who is called, and how") if strict else None
    notify = asked.text("--notify", given["notify"], "Mail address for alarms") if strict else None
    asked.complete()
    return Answers(
        stack=stack,
        service=service,
        host=plan.host_of(host),
        image=image,
        version=version,
        port=int(port),
        health_path=None if path == Health().path else path,
        scheme=scheme,
        production=strict,
        stated=production is not None or rules.production_problem(stack) is not None,
        owner=owner,
        on_call=on_call,
        notify=notify,
        testers=testers,
    )


SCHEMES: Final = ("internal", "internet-facing")


def _scheme_problem(said: str) -> str | None:
    return None if said in SCHEMES else f"{said!r} is neither {SCHEMES[0]} nor {SCHEMES[1]}"


def _port_problem(said: str) -> str | None:
    if not said.isdecimal() or len(said) > 5:
        return f"{said!r} is no port; allowed are 1024 to 65535"
    return _judged(Service, "port", int(said))


def _path_problem(said: str) -> str | None:
    return _judged(Health, "path", said)


def _judged(owner: type, key: str, said: object) -> str | None:
    """Return why the settings would refuse a value, by what the key says of itself."""
    marks = get_type_hints(owner, include_extras=True)[key].__metadata__
    reasons = (mark.problem(said, Facts(production=False, region=None)) for mark in marks if isinstance(mark, Judge))
    return next(filter(None, reasons), None)


class Search:
    """Asks AWS and the cluster. What they refuse is noted, and what the file cannot be without is a refusal."""

    def __init__(self, person: Person | None, folder: Path) -> None:
        self._ask = person.one if person else None
        self._folder = folder
        self.notes: list[str] = []
        self.refusals: list[str] = []

    def finds(
        self,
        answers: Answers,
        *,
        region: Known,
        cluster: str | None,
        vpc: str | None,
        subnets: Sequence[str],
        zone: str | None,
        certificate: str | None,
    ) -> Finds:
        """Return all that was found.

        Raises ``BotoCoreError`` or ``ClientError`` if there is no login.
        """
        aws = session(region=region.value, profile=None, roles=None)
        account = self._asked("sts", lambda: facts.account(aws))
        if account is None:
            self.notes.append("aws:allowedAccountIds: not found; write it by hand, it keeps other accounts out")
        own = self._cluster(aws, cluster)
        found_vpc = self._vpc(aws, vpc, own)
        found_zone = self._zone(aws, answers.host, zone)
        return Finds(
            region=region,
            account=Known(account, "Of the credentials (sts:GetCallerIdentity).") if account else None,
            cluster=own and own[0],
            vpc=found_vpc,
            subnets=self._subnets(aws, found_vpc.value, answers.scheme, subnets) if found_vpc else None,
            zone=found_zone,
            certificate=self._certificate(aws, answers.host, certificate, zone=found_zone),
            lacking=self._prometheus(own and own[0].value, account, region.value),
        )

    def _asked(self, service: str, ask: Callable[[], T]) -> T | None:
        """Return an answer of AWS; None if it refuses, which is noted with the permission that is missing."""
        try:
            return ask()
        except ClientError as error:
            code = error.response["Error"].get("Code")
            if code in LOGIN:
                raise
            action = f"{service}:{error.operation_name}"
            self.notes.append(f"AWS refused {action} ({code}): a role that may, has {action} in its policy ({RIGHTS})")
            return None

    def _picked(self, what: str, option: str, candidates: Sequence[Candidate], given: str | None) -> Candidate | None:
        """Return a choice; None where there is none, or it was refused, which is kept."""
        try:
            return plan.pick(what, option, candidates, given=given, ask=self._ask)
        except RefusedError as error:
            self.refusals.append(str(error))
            return None

    def _cluster(self, aws: "boto3.Session", given: str | None) -> tuple[Known, str | None] | None:
        """Return the cluster and its VPC."""
        names = self._asked("eks", lambda: facts.clusters(aws)) or []
        before = len(self.refusals)
        chosen = self._picked("cluster", "--cluster", [Candidate(name) for name in names], given)
        if chosen is None:
            if len(self.refusals) == before:
                self.notes.append(
                    "cluster.name: no cluster was found; name it with --cluster, or write the key by hand: "
                    "without it an update does not notice the kubeconfig of another cluster"
                )
            return None
        if chosen.value not in names:
            return Known(chosen.value, "Of --cluster; EKS was not asked for it."), None
        network = self._asked("eks", lambda: facts.cluster_network(aws, chosen.value))
        vpc, group = network or (None, None)
        said = f" Its nodes have the security group {group} (eks:DescribeCluster)." if group else ""
        return Known(chosen.value, f"Of the region's clusters (eks:ListClusters).{said}"), vpc

    def _vpc(self, aws: "boto3.Session", given: str | None, own: tuple[Known, str | None] | None) -> Known | None:
        if own and own[1]:
            candidates, source = [Candidate(own[1])], "The VPC of the cluster (eks:DescribeCluster)."
        else:
            candidates = self._asked("ec2", lambda: facts.vpcs(aws)) or []
            source = "The VPC of the region (ec2:DescribeVpcs)."
        if given is not None:
            source = "The VPC of --vpc."
        before = len(self.refusals)
        chosen = self._picked("VPC", "--vpc", candidates, given)
        if chosen is None and len(self.refusals) == before:
            self.refusals.append("network.vpcId: no VPC was found; name the cluster's with --vpc")
        return Known(chosen.value, source) if chosen else None

    def _subnets(self, aws: "boto3.Session", vpc: str, scheme: str, given: Sequence[str]) -> Known | None:
        there = self._asked("ec2", lambda: facts.networks(aws, vpc))
        if there is None and given:
            return Known(given, "The subnets of --subnet.")
        try:
            chosen = plan.subnets_of(there or [], vpc=vpc, scheme=scheme, given=given, ask=self._ask)
        except RefusedError as error:
            self.refusals.append(str(error))
            return None
        zones = ", ".join(each.subnet.zone for each in chosen)
        source = f"The subnets are in {zones} (ec2:DescribeSubnets, ec2:DescribeRouteTables)."
        return Known([each.subnet.id for each in chosen], source)

    def _zone(self, aws: "boto3.Session", host: str, given: str | None) -> Known | None:
        public = self._asked("route53", lambda: public_zones(aws))
        given = given and plan.host_of(given)
        before = len(self.refusals)
        chosen = self._picked("zone", "--zone", plan.zones_of(host, public or ()), given)
        if chosen is None:
            if len(self.refusals) > before:
                return None
            self.notes.append(f"dns.zone: no public hosted zone for {host}; the records are yours to make")
            return None
        source = "The public hosted zone of the host (route53:ListHostedZones)." if public else "The zone of --zone."
        return Known(chosen.value, source)

    def _certificate(self, aws: "boto3.Session", host: str, given: str | None, *, zone: Known | None) -> Known | None:
        issued = self._asked("acm", lambda: facts.certificates(aws))
        candidates = plan.certificates_of(host, issued or {})
        before = len(self.refusals)
        chosen = self._picked("certificate", "--certificate", candidates, given)
        if chosen and chosen not in candidates:
            return Known(chosen.value, "The certificate of --certificate.")
        if chosen:
            return Known(chosen.value, "Issued, for the host and those of its colors (acm:ListCertificates).")
        if zone is None and len(self.refusals) == before:
            self.refusals.append(
                f"loadBalancer.certificateArn: no issued certificate covers {host} and *.{host}, and no zone can prove "
                "one; name a certificate with --certificate, or a zone with --zone"
            )
        return None

    def _prometheus(self, cluster: str | None, account: str | None, region: str) -> Sequence[str]:
        """Return which kinds of its Operator the cluster lacks; none where it cannot be asked, which is noted."""
        from components.context.cluster import ClusterError, confirm  # late: it imports the engine's SDK

        try:
            confirm(
                cluster,
                account=account or "",
                region=region,
                provider=lambda _: None,
                files=os.environ.get("KUBECONFIG"),
            )
            lacking = Kubectl(self._folder, context=None, kubeconfig=None).lacks(OPERATOR)
        except (ClusterError, RefusedError) as error:
            self.notes.append(
                f"prometheus: the cluster was not asked ({error}); where no Prometheus Operator is, write "
                "prometheus.enabled: false by hand"
            )
            return ()
        if not lacking:
            self.notes.append(
                "prometheus.labels: write by hand those by which the Operator selects: kubectl get prometheus "
                "--all-namespaces --output jsonpath='{.items[*].spec.podMonitorSelector}'"
            )
        return lacking


def _judge(text: str, stack: str, folder: Path, *, region: str | None) -> None:
    """Raise what the program would say of a text as the file of the stack."""
    from components.settings import RECORD, parse, ran  # a second of imports

    file = folder / f"Pulumi.{stack}.yaml"
    keys, project = declared(folder)
    config: dict[str, Any] = {**defaults(keys), **section(parsed(text, file), "config", file)}
    parse(own_values(config, project), stack=stack, ran=ran(folder / RECORD), region=region)
