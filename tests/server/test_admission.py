"""Who may come in, without a server: tokens, addresses, and JSON that is no trap."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.admission import new_token, require_certificate, require_safe_address
from landmarklabel.cli import main
from landmarklabel.errors import ConfigError, LandmarkLabelError
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from gateway.options import GatewayOptions
from gateway.rules import RULES, Role, look_up
from gateway.strict_json import DEEPEST, parse_object, require_plain
from gateway.tokens import Tokens, TokenSource, token_source

SECRET, OTHER = "a-token-of-24-characters", "b-token-of-24-characters"


def test_tokens_and_their_holders() -> None:
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    tokens = Tokens.read(f"# staff\nadmin anna {SECRET}  # on leave\n\n reader room.2 sha256:{digest}\n", "tokens")
    found = {secret: tokens.caller(secret) for secret in (SECRET, OTHER)}
    assert [(caller.name, caller.role) for caller in found.values() if caller] == [
        ("anna", Role.ADMIN), ("room.2", Role.READER),
    ]  # fmt: skip
    for wrong in ("", SECRET[:-1], SECRET + " ", f"sha256:{digest}", digest, "\ud800"):
        assert tokens.caller(wrong) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "tokens holds no token"),
        ("# admin anna " + SECRET, "tokens holds no token"),
        (f"boss anna {SECRET}", "tokens, line 1: expected ROLE NAME TOKEN, with ROLE one of reader, annotator, admin"),
        (f"\nadmin {SECRET}", "tokens, line 2: expected ROLE NAME TOKEN"),
        ("admin anna short", "tokens, line 1: the token has 5 characters; expected at least 20"),
        ("admin anna sha256:abc", "expected sha256: and 64 hexadecimal digits"),
        (f"admin a/b {SECRET}", "a name is up to 64 letters"),
        (f"admin anna {SECRET}\nreader anna {OTHER}", "a name is there twice"),
        (f"admin anna {SECRET}\nreader ben {SECRET}", "a token is there twice"),
    ],
)
def test_token_files_that_are_not_right(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as problem:
        Tokens.read(text, "tokens")
    assert sentence in str(problem.value)
    assert SECRET not in str(problem.value)


def test_a_token_file_that_everybody_can_read(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"admin anna {SECRET}\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="everybody on this machine can read the tokens .* chmod 600"):
        TokenSource(file)
    file.write_text(f"admin anna sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}\n")
    assert TokenSource(file).current().caller(SECRET) is not None


def test_a_changed_token_file_counts_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token that is taken away is no key any more; a damaged file locks nobody out, and nobody in."""
    file = tmp_path / "tokens"
    file.touch(0o600)
    file.write_text(f"admin anna {SECRET}\nreader ben {OTHER}\n")
    source = TokenSource(file)
    file.write_text(f"reader ben {OTHER}\n")
    assert source.current().caller(SECRET) is None
    file.write_text("reader\n")
    assert source.current().caller(OTHER) is not None
    assert "the tokens stay as they were" in caplog.text
    file.unlink()
    assert source.current().caller(OTHER) is not None
    assert SECRET not in caplog.text


def test_tokens_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARKLABEL_TOKENS", f"admin anna {SECRET};reader ben {OTHER}")
    source = token_source(None)
    assert source is not None
    assert len(source.current()) == 2
    with pytest.raises(ConfigError, match="from a file .* or from LANDMARKLABEL_TOKENS, not from both"):
        token_source("file")
    monkeypatch.delenv("LANDMARKLABEL_TOKENS")
    assert token_source(None) is None


def test_a_new_token_is_the_one_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    secret, line = new_token("anna", "annotator")
    caller = Tokens.read(line, "tokens").caller(secret)
    assert caller is not None
    assert (caller.name, caller.role) == ("anna", Role.ANNOTATOR)
    assert new_token("anna", "annotator")[0] != secret
    with pytest.raises(SystemExit):
        main(["token", "ben", "--role", "admin"])
    shown = capsys.readouterr()
    assert Tokens.read(shown.out, "tokens").caller(shown.err.split()[-1]) is not None
    for name, role in (("anna b", "admin"), ("anna", "boss"), ("", "admin")):
        with pytest.raises(ConfigError):
            new_token(name, role)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_tokens(host: str) -> None:
    require_safe_address(host, tokens=False, told_once=False, told_twice=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "xray.hospital", ""])
def test_the_network_needs_tokens_or_to_be_asked_for_twice(host: str) -> None:
    for once, twice in ((False, False), (True, False), (False, True)):
        with pytest.raises(ConfigError, match="lets the network in, and there are no tokens"):
            require_safe_address(host, tokens=False, told_once=once, told_twice=twice)
    require_safe_address(host, tokens=False, told_once=True, told_twice=True)
    require_safe_address(host, tokens=True, told_once=False, told_twice=False)


def test_serve_refuses_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda path, command, environment: started.append(command))
    monkeypatch.delenv("LANDMARKLABEL_TOKENS", raising=False)

    def serve(*options: str) -> str:
        with pytest.raises(SystemExit):
            main(["serve", str(tmp_path), "--protocol", "spine_68", *options])
        shown = capsys.readouterr()
        return shown.err + shown.out

    network = ["--host", "0.0.0.0"]
    assert "there are no tokens" in serve(*network)
    assert "there are no tokens" in serve(*network, "--no-tokens")
    assert "there is no token file" in serve("--token-file", str(tmp_path / "nothing"))
    assert "belong together" in serve("--tls-cert", "cert.pem")
    assert "there is no precision 'fp8'; expected exported, auto, fp32, fp16, bf16" in serve("--precision", "fp8")
    assert "'--training-threads'" in serve("--training-threads", "0")
    assert "are no TLS certificate" in serve("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert not started
    assert "everybody who reaches this machine" in serve(*network, "--no-tokens", "--anyone-may-change-everything")
    assert started[0][started[0].index("open_to_all") + 1] == "yes"
    assert "everybody on this machine may do everything; others are not answered" in serve()
    assert "shape_only" not in started[-1]
    serve("--training-threads", "3", "--precision", "auto", "--interactive-experiment", "mine", "--shape-only")
    settings = {"training_threads": "3", "precision": "auto", "interactive_experiment": "mine", "shape_only": "yes"}
    for name, value in settings.items():
        assert started[-1][started[-1].index(name) + 1] == value
    monkeypatch.setenv("LANDMARKLABEL_TOKENS", f"admin anna {SECRET}")
    assert "cross the network unencrypted" in serve(*network)
    assert "which is it to be" in serve(*network, "--no-tokens", "--anyone-may-change-everything")
    assert not any(SECRET in part for command in started for part in command)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    assert require_certificate(None, None) is None
    for name in ("cert", "key"):
        (tmp_path / name).write_text("-----BEGIN")
    with pytest.raises(ConfigError, match="are no TLS certificate and its key"):
        require_certificate(tmp_path / "cert", tmp_path / "key")


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"allow_origins": "*"}, r"allow_origins \*: expected https://HOST"),
        ({"allow_origins": "https://a.b,null"}, "allow_origins null: expected"),
        ({"allow_origins": "https://a.b/path"}, "expected https://HOST or https://HOST:PORT"),
        ({"open_to_all": "maybe"}, "open_to_all maybe: expected yes or no"),
        ({"max_upload_mb": "much"}, "max_upload_mb much: expected a number above 0"),
        ({"infer_timeout": "nan"}, "infer_timeout nan: expected a number above 0"),
        ({"infer_workers": "-1"}, "infer_workers -1: expected a whole number of 2 or more"),
    ],
)
def test_settings_that_are_not_right(conf: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        GatewayOptions.of(conf)


def test_every_rule_is_there_once_and_is_found() -> None:
    named = [(rule.method, rule.path) for rule in RULES]
    assert len(set(named)) == len(named)
    for rule in RULES:
        path = re.sub(r"\{\w+\}", "x", rule.path)
        assert look_up(rule.method, path).rule is rule
        verdict = look_up("PATCH", path)
        assert verdict.rule is None
        assert rule.method in verdict.methods


@pytest.mark.parametrize("path", ["/infer", "/infer/a/b", "//info/", "/info/..", "/static/x", "/proxy/dicom/x", "/x"])
def test_what_is_in_no_rule_is_nowhere(path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert look_up(method, path).rule is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_json_objects_are_read_as_they_are(value: dict[str, Any]) -> None:
    """Brackets and quotes in texts count for nothing."""
    assert parse_object(json.dumps(value), "params") == value
    require_plain(json.dumps(value).encode(), "the body")


@given(st.integers(1, 2 * DEEPEST), st.sampled_from(['{"a":', "["]))
def test_depth_is_counted(levels: int, opening: str) -> None:
    text = '{"a":' + opening * (levels - 1) + "1" + {"[": "]"}.get(opening, "}") * (levels - 1) + "}"
    if levels <= DEEPEST:
        parse_object(text, "params")
    else:
        with pytest.raises(LandmarkLabelError, match="32 levels deep"):
            parse_object(text, "params")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 1_000_000, "32 levels deep, this is deeper"),
        ('{"a": NaN}', "JSON has no NaN"),
        ('{"a": [-Infinity]}', "JSON has no -Infinity"),
        ('{"a": ' + "9" * 5000 + "}", "a number that is too long"),
        ("[1]", "expected a JSON object, got list"),
        ("{bad", "not valid JSON"),
        ('\\"' * 500_000, "not valid JSON"),  # of quotes that nothing closes: at once, not in an hour
        ('{"a": "\ud800"}', "JSON that is not UTF-8, or has half of a character"),
        ('{"a": "\\ud800"}', "JSON that is not UTF-8, or has half of a character"),
    ],
)
def test_json_that_is_a_trap(text: str, sentence: str) -> None:
    with pytest.raises(LandmarkLabelError, match=sentence) as problem:
        parse_object(text, "params")
    assert problem.value.http_status == 400
