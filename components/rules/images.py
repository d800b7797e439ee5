"""Images, what they are built from, and whether staging ran them."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from components.rules.names import version_problem
from components.rules.secrets import secret_kind

_REFERENCE: Final = re.compile(
    r"(?P<repository>(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_IMAGE_LIMIT: Final = 512
"""Characters: a registry's name, 255 of a repository, a tag and a digest."""
_GIT_SHA: Final = re.compile(r"[0-9a-f]{7,40}")


def image_problem(image: str, *, production: bool) -> str | None:
    """Return why an image is not one fixed build: a digest, or outside production a tag that never moves."""
    reference = _REFERENCE.fullmatch(image) if len(image) <= _IMAGE_LIMIT else None
    if reference is None:
        return f"{image!r} is no image reference; allowed is repository@sha256:<64 hex digits> or repository:tag"
    if reference["digest"]:
        return None
    tag = reference["tag"]
    if production:
        return (
            f"{image!r} can change its content; production takes only the digest that staging ran, "
            f"{reference['repository']}@sha256:<64 hex digits>"
        )
    if tag is None or tag == "latest":
        what = "has no tag, which means latest" if tag is None else "has the tag latest"
    elif _GIT_SHA.fullmatch(tag) or version_problem(tag.removeprefix("v")) is None:
        return None
    else:
        what = f"has the tag {tag}, neither a version nor a commit"
    return f"{image!r} {what}; use a digest (@sha256:…), a semantic version (:1.4.0) or a git SHA (:3f2c1ab)"


def build_problem(_build: object, *, production: bool) -> str | None:
    """Return why production may not build: it runs what staging ran, which a second build is not."""
    if not production:
        return None
    return "is not for production, which takes only the digest that staging ran; set image in its place"


def untried_problem(image: str, *, service: str, ran: Collection[str]) -> str | None:
    """Return why production refuses a digest: it must be in the record of what staging ran."""
    digest = image.partition("@")[2]
    if not digest or digest in ran:
        return None
    return (
        f"{digest[:19]}… never ran in staging, as releases.json says; deploy it there, then record it with "
        f"`hueshift image record {service} --stack staging`"
    )


def unproven_problem(
    image: str, *, service: str, ran: Mapping[str, Collection[str]], needed: Collection[str]
) -> str | None:
    """Return why production refuses a digest that staging ran: there must be evidence of all that is needed."""
    digest = image.partition("@")[2]
    missing = [each for each in needed if each not in ran.get(digest, ())]
    if not digest or not missing:
        return None
    given = " ".join(f"--evidence {each}=URL" for each in missing)
    return (
        f"{digest[:19]}… has no evidence of {', '.join(missing)} in releases.json, which releases.evidence asks for; "
        f"while staging serves it: `hueshift image record {service} --stack staging {given}`"
    )


def command_problem(words: Sequence[str]) -> str | None:
    """Return why this is no command: its words, one by one, of which none looks like a secret."""
    if not words or not words[0]:
        return "is empty; name the program and its arguments, such as [/migrate, up]"
    if found := next(filter(None, map(secret_kind, words)), None):
        return f"has a word that looks like {found}, and everybody can read this file; write $(NAME) of a secret there"
    return None


def build_arg_problem(name: str) -> str | None:
    """Return why this is no name of a Dockerfile's argument."""
    if name == "VERSION":
        return "set by version already; remove it here"
    return None if len(name) <= 253 and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "not the name of an argument"


def folder_problem(path: str) -> str | None:
    """Return why this is no path below the project, the same on every machine."""
    if re.fullmatch(r"[\w.][\w./-]{0,254}", path, re.ASCII) and ".." not in path.split("/"):
        return None
    return f"{path!r} is no path below the project; allowed is one such as app or docker/Dockerfile"
