"""Stack files by the engine's rules of YAML: what Python reads is what reaches the program, and back."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hueshift.report import RefusedError
from hueshift.stack_yaml import parsed, read, scalar, write
from tests.support import strategies as some

ROOT = Path(__file__).resolve().parents[2]


def of(text: str, folder: Path) -> dict[str, object]:
    file = folder / "Pulumi.dev.yaml"
    file.write_text(text, encoding="utf-8")
    return read(file)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "Yes",
        "NO",
        "12:30",
        "1:2:3",
        "0o8",
        "0x",
        "0b2",
        "1.2.3",
        "_1",
        ".",
        "+",
        "-",
        "1e400",
        "0x1ffffffffffffffffff",
        "2026-13-45",
        "TRue",
        "nUll",
        "10.0.0.0/8",
        "#".join("ab"),
        "1.4.0",
    ],
)
def test_what_is_text_to_the_engine_is_text(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 8),
        ("-010", -8),
        ("08", 8),  # no octal: a float to Go, which JSON writes without a point
        ("0o10", 8),
        ("0xA", 10),
        ("-0x1F", -31),
        ("0b10", 2),
        ("1_000", 1000),
        ("0x_0A_74_AE", 685230),
        ("+685_230", 685230),
        ("1e3", 1000),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1.", 1),
        ("685.230_15e+03", 685230.15),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 18446744073709551616),
        ("1" + "0" * 30, 1e30),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("-.inf", float("-inf")),
        ("2026-01-02", "2026-01-02 00:00:00 +0000 UTC"),
        ("2026-1-2", "2026-01-02 00:00:00 +0000 UTC"),
        ("2026-01-02T03:04:05.60+02:00", "2026-01-02 03:04:05.6 +0200 +0200"),
        ("2026-01-02 03:04:05", "2026-01-02 03:04:05 +0000 UTC"),
    ],
)
def test_what_is_no_text_to_the_engine_is_what_its_json_says(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quotes_make_text_and_a_key_is_text_in_any_case(tmp_path: Path) -> None:
    content = of(
        """{a: "010", b: '1e3', c: !!str 12, 010: x, true: y, no: z, ~: n, d: |\n  two\n  lines\n}""".replace(
            ", d: |\n  two\n  lines\n", ""
        ),
        tmp_path,
    )
    assert content == {"a": "010", "b": "1e3", "c": "12", "8": "x", "true": "y", "no": "z", "<nil>": "n"}


def test_an_alias_is_a_copy_and_a_merge_gives_way(tmp_path: Path) -> None:
    content = of(
        "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\nall: {<<: [*base, *other], a: 5}\ntwin: *base\n",
        tmp_path,
    )
    assert content["all"] == {"a": 5, "b": 2, "c": 4}
    assert content["twin"] == content["base"]
    assert content["twin"] is not content["base"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config:\n  a: 1\n  b: 2\n  a: 3\n", "line 4: the key 'a' stands twice, first in line 2"),
        ("config: {a: 1, a: 2}", "line 1: the key 'a' stands twice, first in line 1"),
        ("config: {'8': 1, 8: 2}", "the key '8' stands twice"),
        ("a: &a [*a]", "an alias stands for too much"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
            "an alias stands for too much",
        ),
        ("a: [1", "is no YAML: expected ',' or ']', but got '<stream end>', line 1"),
        ("a: !!binary aGk=", "the tag tag:yaml.org,2002:binary is not for stack files"),
        ("? [a]\n: b\n", "a key that is no text"),
        ("a: {<<: 1}", "<< takes a mapping"),
        ("- a\n- b\n", "is no mapping of keys to values"),
        ("just text", "is no mapping of keys to values"),
        ("a: \0", "is no YAML"),
        ("a: " + "[" * 5000, "is no YAML: too many lists and mappings in each other"),
    ],
)
def test_what_the_engine_refuses_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refused:
        of(text, tmp_path)
    assert said in str(refused.value)
    assert "Pulumi.dev.yaml" in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_byte_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_bytes(b"a: \xff")
    with pytest.raises(RefusedError, match="is no YAML"):
        read(file)


texts = st.one_of(
    st.sampled_from(some.SURPRISES),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.from_regex(r"[-+.0-9_xobeE:TZ ]{1,12}", fullmatch=True),
)
contents = st.recursive(
    st.one_of(texts, st.booleans(), st.none(), st.integers(-(2**63), 2**64 - 1)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(texts, contents, max_size=4))
def test_what_is_written_is_read_as_it_was(content: dict[str, object]) -> None:
    assert json.dumps(parsed(write(content), ROOT)) == json.dumps(content)


@pytest.mark.parametrize("file", sorted(ROOT.glob("Pulumi*.yaml")), ids=lambda file: file.name)
def test_the_projects_own_files_have_nothing_that_the_two_rules_read_differently(file: Path) -> None:
    assert read(file) == yaml.safe_load(file.read_text())
    assert read(file)
