"""Which files of certs.d are for a host, and what is said of those that cannot be used."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from oci_ns.certs_d import NOTHING, CertificatesError, certificates_of, certs_d_directories
from oci_ns.trust import Authorities, tls_context

EVERYONE = Authorities(certifi.where(), None)


def laid_out(directory: Path, files: Sequence[str]) -> Path:
    for name in files:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return directory


@pytest.mark.parametrize(
    ("files", "host", "port", "found"),
    [
        (["proxy.example.com/ca.crt"], "proxy.example.com", 443, "proxy.example.com/ca.crt"),
        (["proxy.example.com:443/ca.crt"], "proxy.example.com", 443, "proxy.example.com:443/ca.crt"),
        (["proxy.example.com:5000/ca.crt"], "proxy.example.com", 5000, "proxy.example.com:5000/ca.crt"),
        (["proxy.example.com/ca.crt"], "proxy.example.com", 5000, None),
        (["proxy.example.com:5000/ca.crt"], "proxy.example.com", 443, None),
        (["docker.io/ca.crt"], "registry-1.docker.io", 443, "docker.io/ca.crt"),
        (["[2001:db8::1]:5000/ca.crt"], "2001:db8::1", 5000, "[2001:db8::1]:5000/ca.crt"),
        (["proxy.example.com/README", "proxy.example.com/ca.pem"], "proxy.example.com", 443, None),
        (["ca.crt"], ".", 443, None),
        (["ca.crt"], "..", 443, None),
        (["ca.crt"], "a/..", 443, None),
        (["ca.crt"], "", 443, None),
        (["ca.crt"], "a\0b", 443, None),
        (["ca.crt"], "a\ud800b", 443, None),
    ],
)
def test_a_directory_is_called_as_its_host(
    files: Sequence[str], host: str, port: int, found: str | None, tmp_path: Path
) -> None:
    directory = laid_out(tmp_path / "certs.d", files)
    certificates = certificates_of((directory,), host, port)
    assert [str(each.path.relative_to(directory)) for each in certificates.authorities] == ([found] if found else [])


def test_the_first_directory_that_has_the_host_counts_alone(tmp_path: Path) -> None:
    first = laid_out(tmp_path / "first", ["a.example.com/one.crt"])
    second = laid_out(tmp_path / "second", ["a.example.com/two.crt", "b.example.com/three.crt"])
    directories = (tmp_path / "missing", first, second)
    names = {host: certificates_of(directories, host, 443).authorities for host in ("a.example.com", "b.example.com")}
    assert [version.path.name for version in names["a.example.com"]] == ["one.crt"]
    assert [version.path.name for version in names["b.example.com"]] == ["three.crt"]
    assert certificates_of(directories, "c.example.com", 443) == NOTHING


def test_the_directories_are_the_users_the_systems_and_dockers_unless_one_is_named() -> None:
    system = [Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d")]
    assert list(certs_d_directories("", {"HOME": "/home/u"})) == [Path("/home/u/.config/containers/certs.d"), *system]
    assert list(certs_d_directories("", {})) == system
    assert certs_d_directories("/certs", {"HOME": "/home/u"}) == (Path("/certs"),)
    assert certs_d_directories("~nouser/certs", {}) == (Path("~nouser/certs"),)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["client.cert"], "client.cert: its key client.key is missing (the certificates of a CA end in .crt)"),
        (["client.key"], "client.key: its certificate client.cert is missing"),
    ],
)
def test_half_a_pair_is_an_error(files: Sequence[str], message: str, tmp_path: Path) -> None:
    laid_out(tmp_path / "a.example.com", files)
    with pytest.raises(CertificatesError) as error:
        certificates_of((tmp_path,), "a.example.com", 443)
    assert str(error.value) == f"{tmp_path}/a.example.com/{message}"


def test_a_ca_that_is_a_link_to_nothing_is_passed_over_but_no_half_of_a_pair_is(tmp_path: Path) -> None:
    host = laid_out(tmp_path / "a.example.com", ["ca.crt", "client.cert"])
    (host / "subscription.crt").symlink_to("missing")
    (host / "client.key").symlink_to("missing")
    with pytest.raises(CertificatesError, match=r"client\.key: cannot be read: No such file or directory"):
        certificates_of((tmp_path,), "a.example.com", 443)
    (host / "missing").touch()
    assert len(certificates_of((tmp_path,), "a.example.com", 443).authorities) == 2
    (host / "missing").unlink()
    (host / "client.key").unlink()
    (host / "client.cert").unlink()
    (found,) = certificates_of((tmp_path,), "a.example.com", 443).authorities
    assert found.path == host / "ca.crt"


def test_a_changed_file_is_another_version_of_it(tmp_path: Path) -> None:
    laid_out(tmp_path, ["a.example.com/ca.crt"])
    before = certificates_of((tmp_path,), "a.example.com", 443)
    assert certificates_of((tmp_path,), "a.example.com", 443) == before
    os.utime(tmp_path / "a.example.com" / "ca.crt", ns=(1, 1))
    assert certificates_of((tmp_path,), "a.example.com", 443) != before


def written(directory: Path, authority: trustme.CA, *, passphrase: bool = False) -> Path:
    host = directory / "a.example.com"
    host.mkdir()
    authority.cert_pem.write_to_path(str(host / "ca.crt"))
    client = authority.issue_cert("me@example.com")
    (host / "me.cert").write_bytes(client.cert_chain_pems[0].bytes())
    (host / "me.key").write_bytes(encrypted(client) if passphrase else client.private_key_pem.bytes())
    return host


def encrypted(client: trustme.LeafCert) -> bytes:
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )


def test_a_hosts_ca_is_trusted_besides_everyone_else(tmp_path: Path) -> None:
    written(tmp_path, trustme.CA(organization_name="of the host"))
    context = tls_context(EVERYONE, certificates_of((tmp_path,), "a.example.com", 443), verify=True)
    subjects = [str(each["subject"]) for each in context.get_ca_certs()]
    assert any("of the host" in subject for subject in subjects)
    assert len(subjects) > 100
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_authorities_for_everyone_that_cannot_be_used_are_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CertificatesError) as error:
        tls_context(Authorities(str(file), None), NOTHING, verify=True)
    assert str(error.value).startswith(f"{file}: holds no certificates that can be trusted: ")


def test_an_insecure_host_is_not_verified() -> None:
    context = tls_context(EVERYONE, NOTHING, verify=False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_a_key_with_a_passphrase_is_an_error_and_no_question(tmp_path: Path) -> None:
    host = written(tmp_path, trustme.CA(), passphrase=True)
    with pytest.raises(CertificatesError) as error:
        tls_context(EVERYONE, certificates_of((tmp_path,), "a.example.com", 443), verify=True)
    assert str(error.value) == f"{host}/me.cert: cannot be used with its key me.key: the key has a passphrase"
