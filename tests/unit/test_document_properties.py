"""Generated documents: a table says the same however it is spelt; images have the pull sources of the plain rules."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_ns.conf_files import Sources, load, parse_text
from oci_ns.explain import image_object
from oci_ns.index import RouteIndex
from oci_ns.reference import parse_image
from oci_ns.registries_conf import Endpoint, PullFromMirror, Registry
from tests.unit import generated, plain_rules
from tests.unit.generated import Table

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "registries_conf.json").read_text())
LOADING = [case for case in VECTORS["cases"] if not case["load_error"]]


def endpoint_of(table: Table) -> Endpoint:
    return Endpoint(
        location=table.get("location", ""),
        insecure=table.get("insecure", False),
        pull_from_mirror=PullFromMirror(table.get("pull-from-mirror", "all")),
        namespace=table.get("namespace-proxy"),
        plain_http=table.get("plain-http", False),
        forward_credentials=table.get("forward-credentials", False),
    )


def registry_of(table: Table) -> Registry:
    return Registry(
        prefix=table["prefix"],
        primary=endpoint_of(table),
        mirrors=tuple(endpoint_of(mirror) for mirror in table.get("mirror", ())),
        blocked=table.get("blocked", False),
        mirror_by_digest_only=table.get("mirror-by-digest-only", False),
    )


def first_of_each(document: Table) -> dict[str, Table]:
    """Of several tables with one prefix the first counts."""
    return {table["prefix"]: table for table in reversed(document["registry"])}


def loaded(*texts: str) -> RouteIndex:
    """The table of a file and its drop-ins."""
    with TemporaryDirectory() as directory:
        main, drop_ins = Path(directory) / "registries.conf", Path(directory) / "registries.conf.d"
        drop_ins.mkdir()
        main.write_bytes(texts[0].encode())
        for number, text in enumerate(texts[1:]):
            (drop_ins / f"{number:02}.conf").write_bytes(text.encode())
        return RouteIndex(load(Sources(main, (drop_ins,))).registries)


def pulled(index: RouteIndex, image: str) -> object:
    """The pull sources; None where a location and the image's name do not make the name of an image."""
    try:
        return image_object(index, image)
    except ValueError:
        return None


def as_plain(expected: dict[str, Any]) -> object:
    """The plain rules' answer, as `pulled` has it: they do not read the names they make."""
    for source in expected.get("sources", ()):
        try:
            read = str(parse_image(source["reference"]))
        except ValueError:
            return None
        if read != source["reference"]:
            return None
    return expected


def drop_ins_of(case: dict[str, Any]) -> list[str]:
    files = sorted(case["files"].get("d", {}).items())
    return [text for name, text in files if name.endswith(".conf")]


# -- one table in many words -----------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.data())
def test_a_document_says_what_its_model_says_however_it_is_spelt(data: st.DataObject) -> None:
    document = data.draw(generated.documents)
    text = data.draw(generated.spelt(document))
    registries = parse_text(Path("r.conf"), text.encode()).registries
    assert registries == {prefix: registry_of(table) for prefix, table in first_of_each(document).items()}


# -- pull sources ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LOADING, ids=lambda case: str(case["name"]))
def test_the_plain_rules_have_the_pull_sources_of_every_vector(case: dict[str, Any]) -> None:
    files = [case["files"]["main"], *drop_ins_of(case)]
    entries, index = plain_rules.read(*files), loaded(*files)
    for image in case["images"]:
        found = plain_rules.pull_sources(entries, image["ref"])
        assert image_object(index, image["ref"]) == found
        for source in found.get("sources", ()):
            assert source.pop("namespace") is None
        assert found == image


@pytest.mark.parametrize("case", LOADING, ids=lambda case: str(case["name"]))
def test_the_order_of_registries_and_their_files_say_nothing_where_no_prefix_is_written_twice(
    case: dict[str, Any],
) -> None:
    index = loaded(case["files"]["main"], *drop_ins_of(case))
    tables = {table["prefix"]: table for table in map(table_of, index.registries)}
    one_each = [generated.plain_text({"registry": [table]}) for table in tables.values()]
    for texts in (["".join(one_each[::-1])], ["", *one_each], one_each[::-1]):
        moved = loaded(*(texts or [""]))
        for image in case["images"]:
            assert image_object(moved, image["ref"]) == image_object(index, image["ref"])


def table_of(registry: Registry) -> Table:
    """The table that says what a registry says."""
    own = {"blocked": registry.blocked, "mirror-by-digest-only": registry.mirror_by_digest_only}
    table = {"prefix": registry.prefix} | endpoint_table(registry.primary) | {key: True for key in own if own[key]}
    return table | {"mirror": [endpoint_table(mirror) for mirror in registry.mirrors]}


def endpoint_table(endpoint: Endpoint) -> Table:
    values = {
        "location": endpoint.location,
        "insecure": endpoint.insecure,
        "namespace-proxy": endpoint.namespace,
        "plain-http": endpoint.plain_http,
        "forward-credentials": endpoint.forward_credentials,
        "pull-from-mirror": None
        if endpoint.pull_from_mirror is PullFromMirror.ALL
        else endpoint.pull_from_mirror.value,
    }
    return {key: value for key, value in values.items() if value}


@settings(max_examples=100)
@given(generated.documents, st.lists(generated.images, min_size=3, max_size=8))
def test_an_image_has_the_pull_sources_of_the_plain_rules(document: Table, images: list[str]) -> None:
    text = generated.plain_text(document)
    entries = plain_rules.read(text)
    found = parse_text(Path("r.conf"), text.encode()).registries
    index = RouteIndex(found[prefix] for prefix in sorted(found))
    for image in images:
        assert (image, pulled(index, image)) == (image, as_plain(plain_rules.pull_sources(entries, image)))


@settings(max_examples=50)
@given(st.data())
def test_neither_the_order_of_registries_nor_their_files_matter(data: st.DataObject) -> None:
    """Each prefix is written once: a file's first, or a later file's, would count else.

    That tables with one location agree about `blocked` and `insecure` is asked of each file for itself.
    """
    tables = list(first_of_each(data.draw(generated.documents)).values())
    images = data.draw(st.lists(generated.images, min_size=3, max_size=5))
    shuffled = data.draw(st.permutations(tables))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tables)), max_size=3)))
    parts = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(tables)], strict=True)]
    one = loaded(generated.plain_text({"registry": tables}))
    other = loaded(*(generated.plain_text({"registry": part}) for part in parts))
    assert list(other.registries) == list(one.registries)
    assert [pulled(other, image) for image in images] == [pulled(one, image) for image in images]


@settings(max_examples=30)
@given(st.data())
def test_a_later_file_replaces_a_prefix_as_a_whole(data: st.DataObject) -> None:
    texts = [generated.plain_text(data.draw(generated.documents)) for _ in range(2)]
    image = data.draw(generated.images)
    index, entries = loaded(*texts), plain_rules.read(*texts)
    assert [registry.prefix for registry in index.registries] == [entry.prefix for entry in entries]
    assert pulled(index, image) == as_plain(plain_rules.pull_sources(entries, image))
