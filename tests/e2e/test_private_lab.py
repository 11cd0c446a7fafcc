"""Knows whether the laboratory's private registries are private, and say the truth about who was let in."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import ClientError, Surroundings
from lab.fixtures import CurlFactory, Images, SkopeoFactory
from lab.private_registries import (
    PASSWORD,
    PASSWORD_REGISTRY,
    SERVICE,
    TOKEN_REGISTRY,
    TOKEN_SERVICE,
    TOKEN_SERVICE_PORT,
    USER,
    PrivateRegistries,
    write_authfile,
)

TOKENS = f"https://{TOKEN_SERVICE}:{TOKEN_SERVICE_PORT}/token"
PULL = "repository:library/hello:pull"


@pytest.mark.parametrize(("registry", "kind"), [(PASSWORD_REGISTRY, "basic"), (TOKEN_REGISTRY, "bearer")])
def test_a_client_with_a_login_pulls(
    registry: str,
    kind: str,
    private_registries: PrivateRegistries,
    skopeo_factory: SkopeoFactory,
    lab_ca: CertificateAuthority,
    images: Images,
    tmp_path: Path,
) -> None:
    skopeo = skopeo_factory(Surroundings(ca=lab_ca.pem))
    login = f"--src-authfile={write_authfile(tmp_path / 'auth.json', registry)}"
    reference = f"docker://{registry}/library/hello:latest"
    copied = skopeo.copy(reference, f"oci:{tmp_path / 'copy'}", options=[login])
    assert copied == images.hello.digest
    requests = private_registries.requests()
    assert {(each.host, each.scheme) for each in requests} == {(registry, "https")}
    assert {each.authorization for each in requests if each.status == 200} == {kind}
    assert {each.authorization for each in requests if each.status == 401} == {"none"}
    asked = private_registries.tokens.requests()
    assert {(each.scheme, each.user, each.service, each.status) for each in asked} == (
        {("basic", USER, SERVICE, 200)} if kind == "bearer" else set()
    )


@pytest.mark.parametrize("registry", [PASSWORD_REGISTRY, TOKEN_REGISTRY])
@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_client_without_the_right_login_is_refused(
    registry: str,
    password: str | None,
    private_registries: PrivateRegistries,
    skopeo_factory: SkopeoFactory,
    lab_ca: CertificateAuthority,
    tmp_path: Path,
) -> None:
    registries = [registry] if password is not None else []
    authfile = write_authfile(tmp_path / "auth.json", *registries, password=password or "")
    with pytest.raises(ClientError, match="unauthorized|authentication required|UNAUTHORIZED|401"):
        skopeo_factory(Surroundings(ca=lab_ca.pem)).inspect(
            f"{registry}/library/hello:latest", options=["--no-tags", f"--authfile={authfile}"]
        )
    assert {each.status for each in private_registries.requests()} == {401}
    assert all(each.status == 401 for each in private_registries.tokens.requests())


def test_a_token_is_good_for_what_it_was_asked_for(
    private_registries: PrivateRegistries, curl_factory: CurlFactory, lab_ca: CertificateAuthority
) -> None:
    curl = curl_factory(Surroundings(ca=lab_ca.pem))
    identity = private_registries.tokens.identity_token(USER)
    form = f"grant_type=refresh_token&service={SERVICE.replace(' ', '+')}&refresh_token={identity}&scope={PULL}"
    service = f"service={SERVICE.replace(' ', '%20')}"
    basic = {"Authorization": f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
    nothing = curl(f"{TOKENS}?{service}", headers=basic).json()["token"]
    pull = curl(f"{TOKENS}?{service}&scope={PULL},push", headers=basic).json()["token"]
    posted = curl(TOKENS, method="POST", body=form.encode()).json()["access_token"]
    assert curl(f"{TOKENS}?{service}").status == 401
    assert curl(TOKENS, method="POST", body=form.replace(identity, "other").encode()).status == 401

    def status(path: str, token: str, method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return curl(f"https://{TOKEN_REGISTRY}/v2/{path}", method=method, headers=headers).status

    assert status("", nothing) == 200
    assert status("library/hello/tags/list", nothing) == 401
    for token in (pull, posted):
        assert status("library/hello/tags/list", token) == 200
        assert status("library/other/tags/list", token) == 401
        assert status("library/hello/blobs/uploads/", token, "POST") == 401
        assert status("library/hello/tags/list", token[:-8] + "AAAAAAAA") == 401
    assert [each.status for each in private_registries.tokens.requests()] == [200, 200, 200, 401, 401]
    assert [each.scheme for each in private_registries.tokens.requests()] == [
        *("basic", "basic", "refresh_token"),
        *("none", "refresh_token"),
    ]
    assert private_registries.tokens.issued()[-3:] == [nothing, pull, posted]
    claims = json.loads(base64.urlsafe_b64decode(pull.split(".")[1] + "==="))
    assert claims["access"] == [{"type": "repository", "name": "library/hello", "actions": ["pull"]}]
