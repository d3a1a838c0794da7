import orjson
import pytest

from skerry.host.network.http import Request, Response
from skerry.host.network.imds import VERSIONS, answer

DOCUMENT = orjson.dumps(
    {
        "compute": {"name": "web", "isHostCompatibilityLayerVm": False, "tagsList": [{"name": "a", "value": "b"}]},
        "network": {"interface": [{"macAddress": "525400000001"}]},
    }
).decode()
HEADERS = {"metadata": "true"}


def get(
    path: str, headers: dict[str, str] = HEADERS, method: str = "GET", version: str = "2021-08-01", **query: str
) -> Response:
    wanted = {"api-version": version, **query}
    return answer(Request(method, path, wanted, headers), lambda: DOCUMENT)


def test_the_document_and_its_parts_are_json() -> None:
    assert orjson.loads(get("/metadata/instance", extended="true").body) == orjson.loads(DOCUMENT)
    part = get("/metadata/instance/network/interface/0")
    assert (part.status, orjson.loads(part.body)) == (200, {"macAddress": "525400000001"})
    assert part.content_type.startswith("application/json")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("compute/name", "web"),
        ("compute/isHostCompatibilityLayerVm", "false"),
        ("", "compute/\nnetwork/"),
        ("compute", "name\nisHostCompatibilityLayerVm\ntagsList/"),
        ("compute/tagsList", "0/"),
    ],
)
def test_text_is_a_leaf_or_a_listing(path: str, text: str) -> None:
    assert get(f"/metadata/instance/{path}", format="text") == Response(200, text.encode())


@pytest.mark.parametrize(
    ("response", "status", "words"),
    [
        (get("/metadata/instance", headers={}), 400, "Required metadata header not specified"),
        (get("/metadata/instance", headers={"metadata": "false"}), 400, "Required metadata header not specified"),
        (get("/metadata/instance", headers={**HEADERS, "x-forwarded-for": ""}), 400, "X-Forwarded-For"),
        (get("/metadata/instance", version="2021-08-32"), 400, "newest-versions"),
        (get("/metadata/instance", method="POST"), 405, "Method Not Allowed"),
        (get("/metadata/instance/compute/name"), 400, "format=text"),
        (get("/metadata/instance", format="xml"), 400, "format"),
        (get("/metadata/instance/compute/nothing"), 404, "Not found"),
        (get("/metadata/instance/network/interface/1"), 404, "Not found"),
        (get("/metadata/identity/oauth2/token"), 404, "Not found"),
        (get("/other"), 404, "Not found"),
    ],
)
def test_refusals_are_azures(response: Response, status: int, words: str) -> None:
    assert response.status == status
    assert words in response.body.decode()
    assert "error" in orjson.loads(response.body)


def test_versions_need_no_version() -> None:
    response = answer(Request("GET", "/metadata/versions", {}, HEADERS), lambda: None)
    assert orjson.loads(response.body) == {"apiVersions": list(VERSIONS)}


def test_a_port_without_a_guest_is_not_found() -> None:
    assert (
        answer(Request("GET", "/metadata/instance", {"api-version": VERSIONS[0]}, HEADERS), lambda: None).status == 404
    )
