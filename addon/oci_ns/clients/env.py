"""The environment variables by which programs of a shell go through a proxy and trust its CA, as sh reads them."""

from __future__ import annotations

import shlex


def exports(url: str, no_proxy: str, ca_file: str) -> str:
    """Lines for `eval`. Most of the variables name the only CAs that a program trusts, not further ones."""
    proxy = {"HTTPS_PROXY": url, "https_proxy": url, "NO_PROXY": no_proxy, "no_proxy": no_proxy}
    trust = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), ca_file)
    return "".join(f"{_export(variables)}\n" for variables in (proxy, trust))


def _export(variables: dict[str, str]) -> str:
    return " ".join(("export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items())))
