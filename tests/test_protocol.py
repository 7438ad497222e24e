"""Protocols: the shipped ones are complete, and a wrong one is refused with its line, its key and the fix."""

from pathlib import Path

import numpy as np
import pytest

from landmarklabel.errors import LabelError, ProtocolError
from landmarklabel.protocol import Protocol, load_protocol, shipped_protocols

COUNTS = {"cephalometric_19": 19, "spine_68": 68, "chest_166": 166, "hand_37": 37, "wrist_720": 720, "cervical_13": 13}


def test_the_shipped_protocols() -> None:
    assert {name: len(load_protocol(name)) for name in shipped_protocols()} == COUNTS


@pytest.mark.parametrize("name", COUNTS)
def test_every_landmark_is_described(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    assert len(protocol.title) > 10
    for landmark in protocol.landmarks:
        assert landmark.name.strip()
        assert 15 < len(landmark.description) < 160
        assert landmark.description.endswith(".")


@pytest.mark.parametrize("name", COUNTS)
def test_every_landmark_belongs_somewhere(name: str) -> None:
    """A structure holds each landmark of a contour or a vertebra; none names another."""
    protocol = load_protocol(name)
    named = {label for structure in protocol.structures for label in structure.landmarks}
    assert named <= set(protocol.labels)
    if name != "cephalometric_19":
        assert named == set(protocol.labels)


def test_order_of_the_published_layouts() -> None:
    assert load_protocol("cephalometric_19").labels[:4] == ("S", "N", "Or", "Po")
    assert load_protocol("spine_68").labels[:4] == ("T1-UL", "T1-UR", "T1-LL", "T1-LR")
    chest = load_protocol("chest_166")
    assert [len(s.landmarks) for s in chest.structures] == [44, 50, 26, 23, 23]
    assert chest.indices("heart").tolist() == list(range(94, 120))
    assert len(load_protocol("wrist_720").structures) == 17


def test_a_flip_exchanges_left_and_right(triangle: Protocol) -> None:
    assert triangle.flip_order is not None
    assert triangle.flip_order.tolist() == [1, 0, 2]
    spine = load_protocol("spine_68").flip_order
    assert spine is not None
    assert np.array_equal(spine[spine], np.arange(68))
    assert spine[:4].tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("name", ["cephalometric_19", "chest_166", "cervical_13"])
def test_no_flip_where_a_mirrored_image_is_no_anatomy(name: str) -> None:
    assert load_protocol(name).flip_order is None


def test_the_fingerprint_follows_labels_and_their_order(triangle: Protocol) -> None:
    content = triangle.model_dump()
    content["title"] = "Another title"
    assert Protocol.model_validate(content).fingerprint == triangle.fingerprint
    content["landmarks"] = content["landmarks"][::-1]
    assert Protocol.model_validate(content).fingerprint != triangle.fingerprint


def test_a_users_own_file(triangle_file: Path, triangle: Protocol) -> None:
    assert load_protocol(triangle_file) == triangle


def test_unknown_labels_are_answered_with_the_known(triangle: Protocol) -> None:
    assert triangle.index("top") == 2
    with pytest.raises(LabelError, match="'bottom' is not a landmark of triangle, which has left, right, top"):
        triangle.index("bottom")


HEAD = "name: mine\ntitle: Mine\n"
TWO = "landmarks:\n  - {label: a, name: A}\n  - {label: b, name: B}\n"

WRONG = [
    pytest.param(HEAD + "landmarks:\n  - {contour: c, count: 3, label: 'c{index}', name: 'n{index} {Smith}'}\n",
                 "{index} is all that braces may hold", id="braces"),
    pytest.param(HEAD + "landmarks:\n  - {contour: c, count: 3, label: 'c{index}', name: 'n{index} {0}'}\n",
                 "{index} is all that braces may hold", id="numbered braces"),
    pytest.param(HEAD + TWO + "structures: 5\n", "structures: got 5", id="structures are a number"),
    pytest.param(HEAD + TWO + "structures:\n  - {name: s, landmarks: [a, a]}\n", "'a' is already the landmark",
                 id="a landmark twice in a structure"),
    pytest.param(HEAD + TWO + "rules:\n  - {above: [a, a]}\n", "a, a: a rule names two or more, each once",
                 id="above itself"),
    pytest.param(HEAD + TWO + "rules:\n  - {downwards: []}\n", "nothing: a rule names two or more", id="empty rule"),
    pytest.param(HEAD + TWO + "radii: []\n", "radii must be one or more", id="no radii"),
    pytest.param(HEAD + TWO + "radii: [.nan]\n", "positive, finite and rising", id="radius that is no number"),
    pytest.param(HEAD + TWO + "? [a, b]\n: c\n", "a key that is not one word", id="a list as a key"),
    pytest.param(HEAD + "landmarks: &x [*x]\n", "nested too deep, or in itself|landmarks", id="in itself"),
    pytest.param("[" * 3000, "nested too deep, or in itself", id="too deep"),
    pytest.param(HEAD + "landmarks:\n  - {label: a, name: A}\n  - {label: a, name: B}\n",
                 r"landmarks\[1\].label: 'a' is already the label of landmarks\[0\]; give each its own label",
                 id="duplicate label"),
    pytest.param(HEAD + TWO + "symmetry: {pairs: [[a, c]]}\n",
                 r"symmetry: 'c' is not a landmark of this protocol; use one of its labels \(a, b\)",
                 id="unknown symmetry partner"),
    pytest.param(HEAD + TWO + "symmetry: {pairs: [[a, b]], midline: [a]}\n", "a named more than once",
                 id="two partners"),
    pytest.param(HEAD + TWO + "structures:\n  - {name: s, landmarks: [a, x]}\n",
                 "structure 's' names x, which this protocol has not", id="unknown landmark in a structure"),
    pytest.param(HEAD + TWO + "structures:\n  - {name: s, kind: vertebra, landmarks: [a, b]}\n",
                 r"mine.yaml, line 7, structures\[0\]: a structure of kind 'vertebra' has 4 corners, got 2",
                 id="vertebra without four corners"),
    pytest.param(HEAD + TWO + "rules:\n  - {above: [a, z]}\n", "rules names z", id="rule about nothing"),
    pytest.param(HEAD + TWO + "rules:\n  - {above: [a, b], left_of: [a, b]}\n", "exactly one of",
                 id="two rules in one"),
    pytest.param(HEAD + TWO + "radii: [2, 1]\n", r"positive, finite and rising, got \[2.0, 1.0\]", id="radii"),
    pytest.param(HEAD + "landmarks:\n  - {label: a, nam: A}\n",
                 r"line 4, landmarks\[0\].nam: unknown key 'nam'; did you mean 'name'\?", id="misspelt name"),
    pytest.param(HEAD + "landmarks:\n  - {label: a}\n", r"line 4, landmarks\[0\].name: 'name' is missing; add it",
                 id="missing name"),
    pytest.param(HEAD + TWO + "structure: []\n",
                 "line 6, structure: unknown key 'structure'; did you mean 'structures'?", id="misspelt key"),
    pytest.param(HEAD + "landmarks:\n  - {contour: c, count: 3, label: same, name: N}\n",
                 r"landmarks\[0\], label: 'same' would be the same for every point; put \{index\} into it",
                 id="contour without numbers"),
    pytest.param(HEAD + TWO + "title: Again\n", "line 6: not valid YAML: key 'title' of line 2 again",
                 id="key given twice"),
    pytest.param("name: [\n", "not valid YAML", id="no YAML"),
    pytest.param(HEAD + "description: 2024-13-45\n",
                 "line 3: not valid YAML: '2024-13-45' is no timestamp; as text it needs quotes", id="no date"),
    pytest.param(HEAD + "radii: [0x_]\n", "line 3: not valid YAML: '0x_' is no int", id="no number"),
    pytest.param(HEAD + "radii: [!!int x]\n", "line 3: not valid YAML: 'x' is no int", id="no whole number"),
    pytest.param(HEAD + "radii: [!!int _]\n", "line 3: not valid YAML: '_' is no int", id="no digits"),
    pytest.param(HEAD + f"radii: [1{':1' * 200}.5]\n", "line 3: not valid YAML: '1:1:1.* is no float", id="too far"),
    pytest.param(HEAD + 'description: !!bool "a\\nb"\n', r"line 3: not valid YAML: 'a\\nb' is no bool",
                 id="neither yes nor no"),
    pytest.param(HEAD + "description: !!timestamp x\n", "line 3: not valid YAML: 'x' is no timestamp",
                 id="no time"),
    pytest.param(HEAD + "description: !!timestamp {=: x}\n", "line 3: not valid YAML: .* is no timestamp",
                 id="a mapping as a time"),
    pytest.param(HEAD + "rules: !!map xy\n", "line 3: not valid YAML: expected a mapping", id="text as a mapping"),
    pytest.param(HEAD + TWO + "rules: !!pairs [{[a]: b}]\n", r"rules\[0\]: got ", id="a list as a pair's key"),
    pytest.param("just text\n", "expected 'key: value' lines, got str", id="text"),
    pytest.param("name: a b\ntitle: T\n" + TWO, "line 1, name: got 'a b'; ", id="name with a space"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_a_wrong_protocol_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ProtocolError, match=sentence) as caught:
        load_protocol(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_answered_with_the_known() -> None:
    with pytest.raises(ProtocolError, match="there is no protocol 'skull'; choose one of cephalometric_19, "):
        load_protocol("skull")
    with pytest.raises(ProtocolError, match="no such file"):
        load_protocol("not/there.yaml")
