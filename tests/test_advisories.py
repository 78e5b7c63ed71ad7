"""Which pins an advisory affects: versions and ranges as OSV writes them."""

from __future__ import annotations

import json
import zipfile

import pytest
from packaging.version import Version

from tools import advisories

AFFECTED = [{"introduced": "2.0"}, {"fixed": "2.4.1"}]


def record(events: list[dict], **more) -> dict:
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Big.Ears"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "summary": "It hears.", "affected": [affected | more]}


@pytest.mark.parametrize(
    ("events", "version", "affects"),
    [
        (AFFECTED, "2.4", True),
        (AFFECTED, "2.0", True),
        (AFFECTED, "2.4.1", False),
        (AFFECTED, "2.4.1rc1", True),
        (AFFECTED, "1.9", False),
        ([{"introduced": "0"}], "0.1", True),
        ([{"introduced": "0"}, {"last_affected": "2.4"}], "2.4", True),
        ([{"introduced": "0"}, {"last_affected": "2.4"}], "2.4.1", False),
        ([{"introduced": "3.0"}, {"fixed": "3.10"}, *AFFECTED], "3.9", True),
        ([{"introduced": "3.0"}, {"fixed": "3.10"}, *AFFECTED], "2.9", False),
    ],
)
def test_a_version_within_a_range_is_affected(events, version, affects):
    assert bool(list(advisories.told(record(events), {"big-ears": Version(version)}))) == affects


def test_a_line_names_the_version_that_mends_it():
    pinned = {"big-ears": Version("2.4")}
    assert list(advisories.told(record(AFFECTED), pinned)) == [
        "big-ears==2.4: PYSEC-1, CVE-1, fixed in 2.4.1. It hears."
    ]
    assert "no version with it fixed" in next(advisories.told(record([], versions=["2.4"]), pinned))
    assert not list(advisories.told(record(AFFECTED), {"ears": Version("2.4")}))


def test_the_pins_are_those_that_are_installed():
    found = advisories.pins()
    assert found["numpy"] > Version("1") and {"torch", "uv", "mlflow"} <= found.keys()


@pytest.mark.parametrize("packed", [False, True])
def test_it_fails_where_a_pin_is_affected_and_where_there_is_no_list(tmp_path, monkeypatch, capsys, packed):
    place = tmp_path / "osv"
    monkeypatch.setattr("sys.argv", ["advisories", str(place)])
    monkeypatch.setattr(advisories, "pins", lambda: {"big-ears": Version("2.4")})

    def ended(*contents: dict) -> int:
        if packed:
            with zipfile.ZipFile(place, "w") as archive:
                for number, content in enumerate(contents):
                    archive.writestr(f"{number}.json", json.dumps(content))
        for number, content in enumerate([] if packed else contents):
            place.mkdir(exist_ok=True)
            (place / f"{number}.json").write_text(json.dumps(content))
        with pytest.raises(SystemExit) as done:
            advisories.main()
        return done.value.code

    assert ended() == 2 and "has no advisories" in capsys.readouterr().err
    assert ended(record([{"introduced": "3.0"}])) == 0
    assert ended(record(AFFECTED) | {"withdrawn": "2026-01-01T00:00:00Z"}, record([{"introduced": "3.0"}])) == 0
    assert ended(record(AFFECTED)) == 1 and "fixed in 2.4.1" in capsys.readouterr().out
