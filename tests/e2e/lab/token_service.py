"""Knows the token service: who may pull, which tokens it gave to whom, and how a registry can believe them.

A real one, by distribution's "Token Authentication Specification" and "OAuth2 Token Authentication": its tokens are
JSON Web Tokens signed with RS256, the signer's certificate in ``x5c``, which is how distribution 2.8 verifies them.
"""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
import time
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER = "the laboratory's token service"
PATH = "/token"


@dataclass(frozen=True)
class TokenRequest:
    """One request the service answered."""

    method: str
    scheme: str
    """How the client said who it is: ``basic``, ``refresh_token`` or ``none``."""
    user: str
    service: str
    scopes: tuple[str, ...]
    status: int


class Signer:
    """A key and its certificate, and the tokens it signs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token signer")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._x5c = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.root = directory / "token-signer.pem"
        """What a registry takes as ``rootcertbundle``."""
        self.root.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The token with these claims."""
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [self._x5c]}, claims]
        text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService:
    """The service, at ``/token``; with ``certificate`` (chain and key) it speaks TLS.

    ``users`` are passwords by user name. Whoever is one of them may pull everything, and nothing else. An identity
    token, which ``identity_token`` gives out, will do in place of the password.
    """

    def __init__(
        self,
        directory: Path,
        users: Mapping[str, str],
        *,
        address: str,
        port: int,
        certificate: tuple[Path, Path] | None = None,
        push: bool = False,
    ) -> None:
        """With ``push``, its users may push and delete, too."""
        self._rights = {"pull", "push", "delete"} if push else {"pull"}
        self.signer = Signer(directory)
        self.expires_in = 300
        """Seconds a token is said to last; a registry of distribution takes it for a minute longer."""
        self._users = dict(users)
        self._identities: dict[str, str] = {}
        self._requests: list[TokenRequest] = []
        self._issued: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((address, port), _handler_of(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # The handshake belongs to the connection's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, name="token service", daemon=True)

    def requests(self) -> list[TokenRequest]:
        """The requests answered since the last ``clear``."""
        with self._lock:
            return list(self._requests)

    def issued(self) -> list[str]:
        """Every token given out since the service began."""
        with self._lock:
            return list(self._issued)

    def clear(self) -> None:
        """Let ``requests`` begin here, and tokens last their five minutes."""
        self.expires_in = 300
        with self._lock:
            self._requests.clear()

    def identity_token(self, user: str) -> str:
        """A new identity token of the user."""
        token = uuid.uuid4().hex
        with self._lock:
            self._identities[token] = user
        return token

    def respond(
        self, method: str, authorization: str, parameters: Mapping[str, list[str]]
    ) -> tuple[int, dict[str, Any]]:
        """Status and document for a request."""
        scheme, user = self._who(method, authorization, parameters)
        scopes = tuple(part for scope in parameters.get("scope", []) for part in scope.split())
        service = parameters.get("service", [""])[0]
        status = 200 if user and service else 401
        with self._lock:
            self._requests.append(TokenRequest(method, scheme, user, service, scopes, status))
        if status != 200:
            return status, {"errors": [{"code": "UNAUTHORIZED", "message": "no such user and password"}]}
        token = self.signer.sign(_claims(user, service, scopes, self.expires_in, self._rights))
        with self._lock:
            self._issued.append(token)
        name = "token" if method == "GET" else "access_token"
        return 200, {name: token, "expires_in": self.expires_in}

    def _who(self, method: str, authorization: str, parameters: Mapping[str, list[str]]) -> tuple[str, str]:
        """How the client says who it is, and who that is ('' for nobody)."""
        if method == "POST":
            if parameters.get("grant_type") != ["refresh_token"]:
                return "none", ""
            return "refresh_token", self._identities.get(parameters.get("refresh_token", [""])[0], "")
        kind, _, value = authorization.partition(" ")
        if kind.lower() != "basic":
            return "none", ""
        user, _, password = base64.b64decode(value).decode().partition(":")
        return "basic", user if self._users.get(user) == password else ""

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _claims(user: str, service: str, scopes: tuple[str, ...], lifetime: int, rights: Set[str]) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": user,
        "aud": service,
        "exp": now + lifetime,
        "nbf": now - 1,
        "iat": now,
        "jti": uuid.uuid4().hex,
        "access": [granted for scope in scopes if (granted := _granted(scope, rights))],
    }


def _granted(scope: str, of_repositories: Set[str]) -> dict[str, Any] | None:
    """Of what is asked for, what may be had."""
    resource, _, asked = scope.rpartition(":")
    kind, _, name = resource.partition(":")
    of_registry = {"*"} if name == "catalog" else set()
    rights = {"repository": of_repositories, "registry": of_registry}.get(kind, set())
    actions = [action for action in asked.split(",") if action in rights]
    return {"type": kind, "name": name, "actions": actions} if actions else None


def _handler_of(service: TokenService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            self._answer("GET", parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self._answer("POST", parse_qs(body.decode()))

        def _answer(self, method: str, parameters: dict[str, list[str]]) -> None:
            status: int = 404
            document: dict[str, Any] = {}
            if urlsplit(self.path).path == PATH:
                status, document = service.respond(method, self.headers.get("Authorization", ""), parameters)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tokens"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
