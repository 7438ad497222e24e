"""Who may do what, on a server behind https and tokens, for every route that it has."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monailabel.client import MONAILabelClient
from served import ServedServer, serve_safely
from servers import prepare, publish

from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from gateway.rules import RULES, Role

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent

# What these would do to a server that other tests still need, is tested by what they answer to who may not.
DESTRUCTIVE = ("/reload", "/train/", "/train/{model}", "/scoring/", "/scoring/{method}", "/batch/infer/{model}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol, trained: Path) -> Iterator[ServedServer]:
    running = serve_safely(prepare(tmp_path_factory.mktemp("guarded") / "s", triangle))
    publish(running, trained)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> list[tuple[str, str]]:
    """Every method and path of the application."""
    folder = tmp_path_factory.mktemp("routes")
    prepared = prepare(folder / "s", triangle, images=1, labelled=0)
    made = shutil.ignore_patterns("model", "logs", "bin", "__pycache__")
    app = shutil.copytree(resource("MonaiLabelApp"), folder / "app", ignore=made)
    command = [sys.executable, str(HERE / "route_list.py"), str(app), str(prepared.studies), prepared.conf["protocol"]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stderr[-2000:]
    return [(method, path) for method, path in json.loads(result.stdout.splitlines()[-1])]


def test_every_route_has_a_decision(routes: list[tuple[str, str]]) -> None:
    """A new route fails here until gateway/rules.py says who may use it. Until then nobody may."""
    decided = {(rule.method, rule.path) for rule in RULES}
    assert set(routes) == decided


def test_every_route_answers_who_may_and_refuses_who_may_not(
    guarded: ServedServer, routes: list[tuple[str, str]]
) -> None:
    roles = {"": Role.PUBLIC, "wrong": Role.PUBLIC, **{role: Role[role.upper()] for role in guarded.tokens}}
    decided = {(rule.method, rule.path): rule.role for rule in RULES}
    answers = {}
    for method, path in routes:
        for name, role in roles.items():
            allowed = role >= decided[method, path]
            if allowed and (path == "/auth/token" or path in DESTRUCTIVE or method == "DELETE"):
                continue
            address = re.sub(r"\{\w+\}", "nothing", path)
            token = {"": "", "wrong": "x" * 32}.get(name) or guarded.tokens.get(name, "")
            status = guarded(method, address, token=token).status_code
            answers[method, path, name] = status
            expected = 403 if role > Role.PUBLIC else 401
            assert (status in (401, 403)) is not allowed, (method, path, name, status)
            assert allowed or status == expected, (method, path, name, status)
            assert status < 500, (method, path, name, status)
    assert len(answers) > 150


@pytest.mark.parametrize(
    "path", ["/static/", "/ohif/x", "/proxy/dicom/wado/x", "/infer/wsi/x", "/logs/gpu", "/nothing"]
)
def test_what_is_not_served_is_not_there(guarded: ServedServer, path: str) -> None:
    assert guarded("GET", path, token="").status_code == 401
    assert guarded("GET", path).status_code == 404


def test_a_method_that_a_path_has_not(guarded: ServedServer) -> None:
    answer = guarded("PATCH", "/datastore/label")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, PUT, DELETE"


def test_refusals_are_one_sentence(guarded: ServedServer) -> None:
    for token, sentence in (
        ("", "a token is needed: Authorization: Bearer TOKEN"),
        ("x" * 32, "the token is not known"),
        (guarded.tokens["reader"], "the_reader is a reader; this needs an admin"),
    ):
        assert guarded("POST", "/reload", token=token).json() == {"detail": sentence}
    assert guarded("POST", "/reload", token="").headers["www-authenticate"].startswith("Bearer")


def test_a_large_upload_without_a_token_is_told_so(guarded: ServedServer) -> None:
    """The body is not kept, and the answer is not lost on the way."""
    files = {"file": ("x.png", bytes(8 << 20))}
    assert guarded("PUT", "/datastore/image?image=x", token="", files=files).status_code == 401


def test_a_reader_saves_nothing_by_way_of_inference(guarded: ServedServer) -> None:
    data = {"params": json.dumps({"save_label": True, "label_tag": "draft"})}
    path = "/infer/landmarks?image=image_001&output=json"
    answer = guarded("POST", path, token=guarded.tokens["reader"], data=data)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "the_reader is a reader; save_label needs an annotator",
    )
    assert guarded("POST", path, token=guarded.tokens["annotator"], data=data).status_code == 200


def test_only_an_admin_takes_an_image_from_somebody(guarded: ServedServer) -> None:
    tokens = guarded.tokens
    taken = guarded("POST", "/activelearning/first", token=tokens["annotator"], json={"client_id": "room 2"}).json()
    lease = f"/activelearning/leases/{taken['id']}"
    answers = {role: guarded("DELETE", f"{lease}?force=true", token=tokens[role]) for role in ("reader", "annotator")}
    assert {role: (answer.status_code, answer.json()["detail"]) for role, answer in answers.items()} == {
        "reader": (403, "the_reader is a reader; this needs an annotator"),
        "annotator": (403, "the_annotator is an annotator; force needs an admin"),
    }
    assert guarded("DELETE", lease, token=tokens["annotator"]).status_code == 404  # of another client
    assert guarded("DELETE", lease).status_code == 404  # of another person
    assert guarded("DELETE", f"{lease}?force=true").status_code == 200
    again = guarded("POST", "/activelearning/first", token=tokens["annotator"], json={"client_id": "room 2"}).json()
    own = f"/activelearning/leases/{again['id']}?client_id=room 2"
    assert guarded("DELETE", own, token=tokens["annotator"]).status_code == 200


def test_only_who_put_an_image_off_or_an_admin_takes_that_back(guarded: ServedServer) -> None:
    annotator, path = guarded.tokens["annotator"], "/activelearning/put_off/image_001"

    def asked(method: str, options: str = "", token: str | None = None) -> tuple[int, str]:
        answer = guarded(method, path + options, **({} if token is None else {"token": token}))
        return answer.status_code, answer.json().get("detail", "")

    taken_back = (404, "image_001 is neither skipped nor postponed")
    own = "the_annotator / room 2"
    assert asked("PUT", "?client_id=room 2", annotator) == (200, "")
    assert guarded.get("/activelearning/put_off")[0]["who"] == own
    assert asked("DELETE", token=annotator) == (200, "")  # at another client: the same person
    assert asked("DELETE", token=annotator) == taken_back
    assert asked("PUT", "?client_id=room 2", annotator) == (200, "")
    assert asked("DELETE") == (200, "")  # an admin
    assert asked("PUT", "?client_id=the_annotator") == (200, "")  # who a client says that it is does not count
    refused = (403, "image_001 was skipped by the_admin / the_annotator; an admin may undo that")
    for method, options in (("DELETE", ""), ("DELETE", "?client_id=the_admin"), ("PUT", "?later=true"), ("PUT", "")):
        assert asked(method, options, annotator) == refused
    assert asked("PUT", "?later=true") == (200, "")
    assert asked("DELETE", token=annotator) == (403, "image_001 was postponed by the_admin; an admin may undo that")
    assert asked("PUT", "?later=true", annotator) == (200, "")  # it has come back, and is put off once more
    assert asked("DELETE", token=annotator) == (200, "")


def test_who_saved_a_label_is_who_the_token_is_of(guarded: ServedServer) -> None:
    markups = guarded("POST", "/infer/landmarks?image=image_001&output=image").content
    guarded.token, admin = guarded.tokens["annotator"], guarded.token
    try:
        assert guarded.put_label("image_001", markups, user="somebody else").status_code == 200
        info = guarded.get("/datastore/label/info?label=image_001&tag=final")
    finally:
        guarded.token = admin
    note = {"note": "blurred", "clicks": 9, "model": "mine"}
    guarded("PUT", "/datastore/label/info?label=image_001&tag=final", data={"info": json.dumps(note)})
    noted = guarded.get("/datastore/label/info?label=image_001&tag=final")
    version = guarded.get("/labels/history?image=image_001")["versions"][-1]
    assert noted == {**info, "note": "blurred", "noted_by": "the_admin"}
    assert info["user"] == version["user"] == "the_annotator"
    assert (version["clicks"], version["model"]) == (info.get("clicks"), info.get("model"))


def test_who_deleted_is_in_the_history(guarded: ServedServer) -> None:
    markups = guarded("POST", "/infer/landmarks?image=image_002&output=image").content
    guarded.put_label("image_002", markups, tag="draft")
    annotator = guarded.tokens["annotator"]
    assert guarded("DELETE", "/datastore/label?id=image_002&tag=draft", token=annotator).json() == {}
    last = guarded.get("/labels/history?image=image_002&tag=draft")["versions"][-1]
    assert (last["action"], last["user"]) == ("deleted", "the_annotator")
    assert guarded("DELETE", "/datastore/image?id=image_002", token=annotator).status_code == 403
    assert guarded("DELETE", "/datastore/?id=image_002").json() == {}
    records = (guarded.studies / ".landmarklabel" / "history" / "image_002").glob("*.json")
    deletions = [
        record for record in map(json.loads, map(Path.read_text, records)) if record.get("action") == "deleted"
    ]
    assert {record["user"] for record in deletions} == {"the_annotator", "the_admin"}
    assert guarded("POST", "/labels/undelete_image?image=image_002").ok


def test_who_had_an_answer_saved_is_noted(guarded: ServedServer) -> None:
    data = {"params": json.dumps({"save_label": True, "label_tag": "asked", "user": "somebody else"})}
    assert guarded("POST", "/infer/landmarks?image=image_003", token=guarded.tokens["annotator"], data=data).ok
    assert guarded.get("/labels/history?image=image_003&tag=asked")["versions"][-1]["user"] == "the_annotator"


def test_pages_of_elsewhere_may_not_ask(guarded: ServedServer) -> None:
    """Nor may their browser be told that they may."""
    for method, origin in (("POST", "https://elsewhere.org"), ("OPTIONS", "https://elsewhere.org"), ("GET", "null")):
        answer = guarded(method, "/info/", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert guarded("GET", "/info/", headers={"Origin": guarded.address}).status_code == 200


def test_the_stock_client_logs_in_with_a_token(guarded: ServedServer, tmp_path: Path) -> None:
    """As MONAI Label's plug-in of 3D Slicer does: name and password, which is the token."""
    client = MONAILabelClient(guarded.address, tmpdir=str(tmp_path))
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    with pytest.raises(Exception, match="no such name with this token"):
        client.auth_token("the_reader", guarded.tokens["admin"])
    client.update_auth(client.auth_token("the_reader", guarded.tokens["reader"]))
    assert client.auth_valid_token()
    assert client.info()["name"] == "landmarklabel"


def test_plain_http_is_not_answered(guarded: ServedServer) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{guarded.port}/info/", timeout=10)


def test_health_is_public_and_figures_are_not(guarded: ServedServer) -> None:
    assert guarded("GET", "/healthz", token="").json() == {"status": "ok"}
    assert guarded("GET", "/readyz", token="").json() == {"ready": True, "detail": ""}
    guarded.infer("image_001")
    text = guarded("GET", "/metrics", token=guarded.tokens["reader"]).text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert figures["landmarklabel_images"] == "26.0"
    assert float(figures['landmarklabel_labels{tag="final"}']) >= 24
    assert float(figures['landmarklabel_inferences_total{lane="image",outcome="answered"}']) >= 1
    assert figures['landmarklabel_inferences_waiting{lane="click"}'] == "0.0"
    assert any(name.startswith('landmarklabel_model{task="landmarks",version="') for name in figures)
    route = 'method="POST",route="/infer/{model}",status="200"'
    assert float(figures[f"landmarklabel_request_seconds_count{{{route}}}"]) >= 1
    assert "image_001" not in text


def test_requests_have_ids_in_answer_and_log_and_no_names(guarded: ServedServer) -> None:
    """An id may be a patient's name, where a hospital was careless; the log has none."""
    picture = (guarded.studies / "image_001.png").read_bytes()
    name, files = "Doe_Jane_19700101", {"file": ("Doe_Jane.png", picture)}
    log_before = len(guarded.log.read_text())
    put = guarded("PUT", f"/datastore/image?image={name}", files=files, headers={"X-Request-ID": "trace-7"})
    assert (put.status_code, put.headers["x-request-id"]) == (200, "trace-7")
    strange = guarded("GET", f"/datastore/image/info?image={name}x", headers={"X-Request-ID": "a b\tc"})
    assert re.fullmatch(r"[0-9a-f]{32}", strange.headers["x-request-id"])
    for path in ("/infer/landmarks", "/infer/refine", "/infer/nothing"):
        guarded("POST", f"{path}?image={name}", data={"params": json.dumps({"corrections": {name: [1, 2, 3]}})})
    guarded("POST", "/infer/landmarks", files={"file": ("Doe_Jane.png", picture[:100])})
    session = guarded("PUT", "/session/", files={"files": ("Doe_Jane.png", picture)}).json()["session_id"]
    guarded("POST", f"/infer/landmarks?session_id={session}")
    label = guarded.studies / "labels/final/image_001.mrk.json"
    orphan = label.with_name("Doe_John.mrk.json")
    shutil.copy(label, orphan)
    assert guarded.put_label(name, label.read_bytes()).status_code == 200
    (guarded.studies / f".landmarklabel/history/{name}/final.000001.json").write_text(f'"{name}')
    assert guarded.get(f"/labels/history?image={name}")["versions"] == []
    guarded.wait_for(lambda: "files of no image" in guarded.log.read_text()[log_before:], 20)
    orphan.unlink()
    assert guarded("DELETE", f"/datastore/image?id={name}").status_code == 200
    log = guarded.log.read_text()[log_before:]
    assert "version 1 of a label 'final' is damaged" in log
    assert re.search(r"PUT /datastore/image 200 \d+ ms the_admin .*\[trace-7\]", log)
    assert f"[{strange.headers['x-request-id']}]" in log
    assert "Doe" not in log


def test_tokens_are_never_logged(guarded: ServedServer) -> None:
    log = guarded.log.read_text()
    assert "3 tokens: nobody is answered without one" in log
    assert not [role for role, secret in guarded.tokens.items() if secret in log]
    shown = guarded("GET", "/logs/?lines=5").text
    assert len(shown.splitlines()) <= 5


def test_a_token_that_is_taken_away_counts_no_more(guarded: ServedServer) -> None:
    file = Path(guarded.conf["token_file"])
    lines = file.read_text()
    file.write_text("\n".join(line for line in lines.splitlines() if not line.startswith("reader")))
    try:
        assert guarded("GET", "/info/", token=guarded.tokens["reader"]).status_code == 401
    finally:
        file.write_text(lines)
    assert guarded("GET", "/info/", token=guarded.tokens["reader"]).status_code == 200


def test_the_app_starts_anew_and_stays_guarded(guarded: ServedServer) -> None:
    protocol = Path(guarded.conf["protocol"])
    right = protocol.read_text()
    protocol.write_text(right.replace("landmarks:", "landmark:"))
    refused = guarded("POST", "/reload")
    assert refused.status_code == 409
    assert "the app goes on as it was: the server can't start" in refused.json()["detail"]
    assert len(guarded.infer("image_001")["landmarks"]) == 3
    protocol.write_text(right)
    assert guarded("POST", "/reload").status_code == 200
    assert guarded("GET", "/info/", token="").status_code == 401
    assert len(guarded.infer("image_001")["landmarks"]) == 3
