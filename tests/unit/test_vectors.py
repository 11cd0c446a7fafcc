"""The shared vectors, row by row: what the table decides, and what the reference implementation of Podman answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oci_ns.conf_files import Sources, load, parse_text
from oci_ns.explain import image_object, url_object
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.problems import ConfigurationError
from oci_ns.routes import RouteTable
from tests.unit.settings import settings

VECTORS = Path(__file__).parents[1] / "vectors"
REQUESTS = json.loads((VECTORS / "requests.json").read_text())
REGISTRIES_CONF = json.loads((VECTORS / "registries_conf.json").read_text())


@pytest.mark.parametrize("case", REQUESTS["cases"], ids=lambda case: str(case["name"]))
def test_a_request_is_decided_as_the_vector_says(case: dict[str, Any]) -> None:
    document = parse_text(Path("registries.conf"), REQUESTS["configs"][case["config"]].encode())
    table = RouteTable(RouteIndex(document.registries.values()), policy_of(settings(**case["options"])))
    expected = {key: case[key] for key in ("url", "method", "action", "namespace", "source", "upstream")}
    assert url_object(table, case["method"], case["url"]) == expected


@pytest.mark.parametrize("case", REGISTRIES_CONF["cases"], ids=lambda case: str(case["name"]))
def test_an_image_has_the_pull_sources_podman_gives_it(case: dict[str, Any], tmp_path: Path) -> None:
    main, drop_ins = tmp_path / "registries.conf", tmp_path / "registries.conf.d"
    main.write_text(case["files"]["main"])
    drop_ins.mkdir()
    for name, text in case["files"].get("d", {}).items():
        (drop_ins / name).write_text(text)
    sources = Sources(main, (drop_ins,))
    if case["load_error"]:
        with pytest.raises(ConfigurationError):
            load(sources)
        return
    index = RouteIndex(load(sources).registries)
    for image in case["images"]:
        answer = image_object(index, image["ref"])
        for source in answer.get("sources", []):
            assert source.pop("namespace") is None
        assert answer == image
