"""Dataset cards: the ones that are shipped, and what is said of a wrong one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from earshot.cli import main
from earshot.datasets.card import card_path, load_card
from earshot.datasets.download.checksums import read_list
from earshot.errors import EarshotError

PROJECT = Path(__file__).parents[1]
SHIPPED = sorted(path.stem for path in (PROJECT / "conf" / "cards").glob("*.yaml"))
GOOD = {"title": "Ours", "licence": "CC0", "citation": "none", "source": {"folder": "recordings"}}


@pytest.fixture
def write_card(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    folder = tmp_path / "conf" / "cards"
    folder.mkdir(parents=True)

    def write(name="ours", **changes):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**GOOD, **changes}))

    return write


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(PROJECT))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_card_loads_and_names_licence_and_citation(name, shipped):
    card = load_card(name)
    assert len(card.licence) > 20 and len(card.citation) > 20
    if card.source.checksums:
        assert read_list(card_path(name).parent / card.source.checksums)
    if card.needs:
        assert load_card(card.needs).needs is None


@pytest.mark.parametrize("name", ["gtzan", "gtzan_mini", "sirens"])
def test_card_says_that_there_is_no_licence(name, shipped):
    assert load_card(name).licence.startswith("none")


def test_downloads_are_all_checked(shipped):
    for name in SHIPPED:
        source = load_card(name).source
        for file in source.downloads:
            assert file.sha256 or file.md5 or source.checksums, name
            assert file.urls, name


def test_gtzan_mini_lists_its_101_tracks(shipped):
    listed = read_list(PROJECT / "conf" / "cards" / "gtzan_mini.sha256")
    genres = [name.split("/")[1] for name in listed]
    assert len(listed) == 101
    assert {genre: genres.count(genre) for genre in set(genres)} == dict.fromkeys(set(genres), 10) | {"jazz": 11}


def test_stand_in_says_so_and_comes_from_a_mirror_alone(write_card, tmp_path):
    for path in (PROJECT / "tests" / "cards").iterdir():
        (tmp_path / "conf" / "cards" / path.name).write_bytes(path.read_bytes())
    card = load_card("sirens_standin")
    assert "Stand-in" in card.title and "stand-in" in card.licence
    assert not card.source.files and not card.source.archive
    listed = read_list(card_path("sirens_standin").parent / card.source.checksums)
    named = {*card.layout.recordings.values(), *card.layout.segments.values()}
    assert named == set(listed)
    assert set(card.layout.recordings) == {"emergency", "non_emergency"}


def test_unknown_dataset_lists_those_there_are(write_card):
    write_card("bells")
    write_card("whistles")
    with pytest.raises(EarshotError, match=r"no dataset is called 'drums'.*bells, whistles"):
        load_card("drums")


@pytest.mark.parametrize("name", ["../ours", "/etc/hostname", "", "a b"])
def test_dataset_name_is_no_path(name, write_card):
    write_card()
    with pytest.raises(EarshotError, match="no dataset is called"):
        load_card(name)


FILE = {"path": "a.wav", "urls": ["https://example.org/a.wav"]}
ARCHIVE = {"path": "a.zip", "max_unpacked_bytes": 1000}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"licens": "x"}, "licens"),
        ({"licence": None}, "licence"),
        ({"source": {}}, "needs one of files, archive"),
        ({"source": {"folder": "a", "archive": ARCHIVE}}, "has .'archive', 'folder'"),
        ({"source": {"files": [FILE], "checksums": "a.sha256"}}, "give each of files its sha256"),
        ({"source": {"files": [{**FILE, "sha256": "xyz"}]}}, "source.files.0.sha256"),
        ({"source": {"files": [{**FILE, "path": "../a.wav"}]}}, "source.files.0.path.*leads out"),
        ({"source": {"files": [{**FILE, "urls": ["file:///etc/passwd"]}]}}, "source.files.0.urls.0"),
        ({"source": {"archive": {"path": "a.zip"}}}, "source.archive.max_unpacked_bytes"),
        ({"source": {"generated": {"module": "os.path"}}}, "source.generated.module"),
        ({"layout": {"kind": "class_folders", "groups": {"file": "/etc/passwd"}}}, "groups.file"),
        ({"layout": {"kind": "by_moon"}}, "layout"),
    ],
)
def test_fault_in_a_card_is_named_with_its_key(changes, told, write_card, tmp_path):
    write_card(**changes)
    with pytest.raises(EarshotError, match=told) as error:
        load_card("ours")
    assert str(tmp_path / "conf" / "cards" / "ours.yaml") in str(error.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": 2024}, "task is 2024, which is a number to YAML: write it in quotes"),
        ({"task": True}, "task is true, which is true or false to YAML"),
        ({"task": "birds (dawn)"}, r"task is birds \(dawn\), and must be text of letters, digits, _ and - alone"),
        ({"task": "birds/dawn"}, "task is birds/dawn, and must be text"),
        ({"layout": {"kind": "class_folders"}}, "task is missing: what is classified"),
        ({"title": 12}, "title is 12, which is a number to YAML: write it in quotes"),
        (
            {"layout": {"kind": "class_folders", "groups": {"file": "a.csv", "train_only": [True]}}},
            "train_only.0 is true",
        ),
    ],
)
def test_what_yaml_takes_for_something_else_is_told(changes, told, write_card):
    write_card(**changes)
    with pytest.raises(EarshotError, match=told) as error:
        load_card("ours")
    assert "\n" not in str(error.value)


def test_keys_that_yaml_takes_for_something_else_are_told_with_their_line(write_card, tmp_path):
    write_card()
    path = tmp_path / "conf" / "cards" / "ours.yaml"
    path.write_text(path.read_text() + "layout:\n  kind: long_recordings\n  recordings: {yes: a.wav, no: b.wav}\n")
    with pytest.raises(EarshotError, match=r"line 8: the key yes is true or false to YAML: write it in quotes, 'yes'"):
        load_card("ours")


BOMB = "[&a [x, x, x, x, x, x, x, x, x, x]"
for before, name in pairwise("abcdef"):
    BOMB += f", &{name} [{', '.join(10 * [f'*{before}'])}]"
BOMB += "]"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"known_bad: {BOMB}", "holds more than 100000 values, perhaps by aliases"),
        ("known_bad: &a [*a]", "holds more than 100000 values"),
        ("known_bad: !!timestamp x", "not what its tag"),
        ("known_bad: !!bool x", "not what its tag"),
        ('"a\\nb": x', r"line 6: the key 'a\\nb' has a character that doesn't print"),
    ],
)
def test_what_yaml_makes_of_little_is_bounded_and_told_in_a_line(line, told, write_card, tmp_path):
    write_card()
    path = tmp_path / "conf" / "cards" / "ours.yaml"
    path.write_text(path.read_text() + line)
    with pytest.raises(EarshotError, match=told) as error:
        load_card("ours")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["garden.v2", "my garden", "-a", "a+b", "so'a"])
def test_a_cards_name_keeps_to_the_rule(name, write_card):
    write_card(name)
    rule = (
        r"a dataset's name is of letters, digits, _ and - alone, the first no -. Rename the card, such as to \w+.yaml"
    )
    with pytest.raises(EarshotError, match=rule):
        load_card(name)


@pytest.mark.parametrize("name", ["2024", "_a", "vögel-2", "yes"])
def test_a_name_of_letters_and_digits_is_one(name, write_card):
    write_card(name)
    assert load_card(name).name == name


def test_another_suffix_is_told(write_card, tmp_path):
    write_card()
    folder = tmp_path / "conf" / "cards"
    (folder / "ours.yaml").rename(folder / "ours.yml")
    with pytest.raises(EarshotError, match=r"ours.yaml is missing; rename .*ours.yml to ours.yaml"):
        load_card("ours")
    listed = CliRunner().invoke(main.main, ["datasets"])
    assert listed.exit_code == 0 and "ours.yml is not read: a card's suffix is .yaml" in listed.stderr


def test_a_wrong_card_does_not_hide_the_others(write_card):
    write_card()
    write_card("wrong", task=7)
    listed = CliRunner().invoke(main.main, ["datasets"])
    assert listed.exit_code == 1 and "Ours" in listed.stdout and "wrong.yaml: task is 7" in listed.stderr


@pytest.mark.parametrize("text", ["", "[1, 2", "just text", "- a\n- b", "name: other"])
def test_file_that_is_no_card(text, write_card, tmp_path):
    (tmp_path / "conf" / "cards" / "ours.yaml").write_text(text)
    with pytest.raises(EarshotError, match="not a dataset card"):
        load_card("ours")


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "lists no file"), ("abc  a.wav\n", "line 1"), (f"{'0' * 64}  ../a.wav\n", "line 1.*leads out")],
)
def test_fault_in_a_checksum_list_is_named(text, told, tmp_path):
    path = tmp_path / "ours.sha256"
    path.write_text(text)
    with pytest.raises(EarshotError, match=told):
        read_list(path)
