"""The CA that config/deploy/README.md makes: one for all replicas, in a directory that none of them can write."""

from __future__ import annotations

import re
from pathlib import Path

from lab.certificates import CertificateAuthority
from lab.clients import Surroundings
from lab.fixtures import CurlFactory
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import clean_env, require, run
from lab.serve import Serve

README = Path(__file__).resolve().parents[2] / "config" / "deploy" / "README.md"


def test_a_ca_of_ones_own_serves_two_processes_that_cannot_write_it(
    lab_ca: CertificateAuthority, nsproxy: NamespaceProxy, curl_factory: CurlFactory, tmp_path: Path
) -> None:
    (commands,) = re.findall(r"<!-- command: ca -->\n```console\n(.*?)```", README.read_text(), re.DOTALL)
    made, confdir = tmp_path / "made", tmp_path / "confdir"
    made.mkdir()
    confdir.mkdir()
    run(["bash", "-e", "-c", commands], cwd=made, env=clean_env(tmp_path), timeout=120)
    for name in ("mitmproxy-ca.pem", "mitmproxy-dhparam.pem"):
        (confdir / name).write_bytes((made / name).read_bytes())
    mount = require("mount")
    run([mount, "--bind", confdir, confdir])
    run([mount, "-o", "remount,bind,ro", confdir])
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nprefix = "quay.io"\nlocation = "{PROXY_NAME}"\nnamespace-proxy = "quay.io"\n')
    given = {"conf": conf, "confdir": confdir, "trusted_ca": lab_ca.pem}
    try:
        with Serve(tmp_path, **given) as one, Serve(tmp_path, **given) as other:  # type: ignore[arg-type]
            for serve in (one, other):
                curl = curl_factory(Surroundings(proxy=serve.url, ca=made / "mitmproxy-ca-cert.pem"))
                assert curl("https://quay.io/v2/coreos/etcd/tags/list").status == 200
    finally:
        run([require("umount"), confdir])
    assert sorted(path.name for path in confdir.iterdir()) == ["mitmproxy-ca.pem", "mitmproxy-dhparam.pem"]
    assert_namespaced(nsproxy.requests(), "quay.io")
