import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import ca


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "ca.crt", tmp_path / "ca.key"


def handshake(tmp_path: Path, authority: tuple[Path, Path], names: list[str], asked: str) -> None:
    chain, key = ca.issue(names, *authority)
    (tmp_path / "server.crt").write_bytes(chain)
    (tmp_path / "server.key").write_bytes(key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    asking = ssl.create_default_context(cafile=str(authority[0]))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(up, down, server_side=True)
    client = asking.wrap_bio(down, up, server_hostname=asked)
    waiting = {client, server}
    while waiting:
        for side in waiting.copy():
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(side)


@pytest.mark.parametrize("asked", ["shop.localhost", "green.shop.localhost", "10.250.0.1"])
def test_a_strict_client_accepts_a_certificate_for_each_of_its_names(
    tmp_path: Path, authority: tuple[Path, Path], asked: str
) -> None:
    handshake(tmp_path, authority, ["shop.localhost", "*.shop.localhost", "10.250.0.1"], asked)


@pytest.mark.parametrize("asked", ["other.localhost", "a.green.shop.localhost", "10.250.0.2"])
def test_a_strict_client_refuses_a_certificate_for_another_name(
    tmp_path: Path, authority: tuple[Path, Path], asked: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, authority, ["shop.localhost", "*.shop.localhost", "10.250.0.1"], asked)


def test_an_authority_that_is_there_is_kept(authority: tuple[Path, Path]) -> None:
    ca.ensure_ca(*authority)
    before = [path.read_bytes() for path in authority]
    ca.ensure_ca(*authority)
    assert [path.read_bytes() for path in authority] == before


def test_processes_that_start_together_agree_on_one_authority(authority: tuple[Path, Path]) -> None:
    together = threading.Barrier(8)

    def start(_: int) -> bytes:
        together.wait()
        return ca.ensure_ca(*authority).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    certificate = x509.load_pem_x509_certificate(authority[0].read_bytes())
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_only_the_owner_can_read_the_key(authority: tuple[Path, Path]) -> None:
    ca.ensure_ca(*authority)
    assert stat.S_IMODE(authority[1].stat().st_mode) == 0o600


def test_a_certificate_without_a_name_is_refused(authority: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="at least one name"):
        ca.issue([], *authority)
