"""A release's version on its image in ECR: put once, never moved."""

import pytest

from hueshift.report import RefusedError
from tests.support.ecr import HOST, Ecr


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


COMMIT = "5f0c3a1" + "0" * 33


def test_an_image_gets_its_version_beside_the_tag_that_it_was_pushed_with() -> None:
    ecr = Ecr()
    ecr.push(digest(1), COMMIT)
    assert ecr.record(digest(1), "1.6.37") is True
    assert ecr.tags[digest(1)] == [COMMIT, "1.6.37"]
    assert ecr.puts[0]["imageManifestMediaType"] == "oci", "a manifest of OCI need not say what it is"
    assert ecr.puts[0]["registryId"] == HOST[:12]


def test_the_same_image_under_the_same_version_is_fine() -> None:
    ecr = Ecr()
    ecr.push(digest(1), COMMIT)
    ecr.record(digest(1), "1.6.37")
    assert ecr.record(digest(1), "1.6.37") is False
    assert len(ecr.puts) == 1


def test_another_image_under_the_same_version_is_refused_and_nothing_moves() -> None:
    ecr = Ecr()
    ecr.push(digest(1), COMMIT, "1.6.37")
    ecr.push(digest(2), "2" * 40)
    with pytest.raises(RefusedError, match=rf"in ECR shop:1.6.37 is {digest(1)}, but {digest(2)} ran as 1.6.37"):
        ecr.record(digest(2), "1.6.37")
    assert ecr.puts == []


def test_an_image_that_is_not_there_is_named() -> None:
    with pytest.raises(RefusedError, match=f"ECR has no shop@{digest(1)}.*pipeline/build.sh shop"):
        Ecr().record(digest(1), "1.6.37")


def test_a_version_with_metadata_of_its_build_is_written_as_a_tag_may_be() -> None:
    ecr = Ecr()
    ecr.push(digest(1))
    ecr.record(digest(1), "1.6.0+build.5")
    assert ecr.tags[digest(1)] == ["1.6.0_build.5"]
