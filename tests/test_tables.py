"""Tables that people bring along: every value is text, and what is wrong is told by file, line and column."""

from __future__ import annotations

import csv
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import noise, write_audio
from earshot import files
from earshot.datasets import examine, listing
from earshot.datasets.card import Card, load_card
from earshot.datasets.tables import numbers, read_table
from earshot.errors import EarshotError
from earshot.splits.spans import read_segments

COLUMNS = ["file", "bird"]
ROWS = "file,bird\na.wav,NA\nb.wav,None\nc.wav,nan\nd.wav,007\ne.wav,\n"


def read(path, columns=COLUMNS, **options):
    return read_table(path, columns, "layout.groups in the dataset's card", **options)


@pytest.fixture
def put(tmp_path):
    def write(content, name="who.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_every_value_is_text_and_only_an_empty_field_is_missing(put):
    table = read(put(ROWS))
    assert list(table["bird"][:-1]) == ["NA", "None", "nan", "007"]
    assert table["bird"].isna().tolist() == [False] * 4 + [True]
    assert list(table.index) == [2, 3, 4, 5, 6]


def test_what_is_told_of_names_and_fields_with_line_ends_is_one_line(put):
    with pytest.raises(EarshotError, match="has no column file; it has a file, bird$"):
        read(put('"a\nfile",bird\na.wav,wren\n'))
    path = put('file,at\na.wav,"1\n2"\n')
    with pytest.raises(EarshotError, match=r"at is '1\\n2', and must be a number"):
        numbers(path, read(path, ["file", "at"]), "at")
    with pytest.raises(EarshotError, match="line 4: a b has a row already"):
        read(put('file,bird\n"a\nb",x\n"a\nb",y\n'), unique=["file"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_spreadsheets_encoding_separator_and_line_ends_do_not_matter(put, encoding, separator, ending):
    text = "file,bird\nWürger.wav,Grünfink\nb.wav,Zaunkönig\n".replace(",", separator).replace("\n", ending)
    for name in ("who.csv", "who.tsv", "who.txt"):
        table = read(put(text.encode(encoding), name))
        assert table.to_numpy().tolist() == [["Würger.wav", "Grünfink"], ["b.wav", "Zaunkönig"]]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nfile;bird\na, b.wav;x\n",
        '"file", "bird"\n"a, b.wav", x \n',
        "file;bird;;\na, b.wav;x;;\n;;;\n\n",
        '\n\nfile,bird\n"a, b.wav",x\n\n',
        ',file,bird\n0,"a, b.wav",x\n',
        'file\tbird\n"a, b.wav"\tx',
    ],
)
def test_what_spreadsheets_and_pandas_add_is_passed_over(put, text):
    assert read(put(text)).to_numpy().tolist() == [["a, b.wav", "x"]]


def test_a_field_may_hold_lines(put):
    table = read(put('file,bird\n"a\nb.wav",x\nc.wav,y\n'))
    assert list(table.index) == [2, 4] and table["file"][2] == "a\nb.wav"


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (workbook(), "who.csv is a workbook of Excel.*Save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook of Excel"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (bytes(range(8)) * 20, "is not text"),
        (b"\xff\xfea", "is not text"),
        (b"", "who.csv is empty, and layout.groups"),
        (b"\xef\xbb\xbf \n\n", "who.csv is empty"),
        ("file,bird\n", "a header and no rows"),
        ("file,bird\n,\n", "a header and no rows"),
        ("name,bird\na.wav,x\n", "has no column file; it has name, bird"),
        ("file.bird\na.wav.x\n", "has no column file, bird; it has file.bird"),
        ("file,bird\na.wav,x\nb.wav\n", "who.csv, line 3: 1 field.*, where the header has 2"),
        ("file,bird\na, b.wav,x\n", "line 2: 3 field.*a comma is written in double quotes"),
        ('file,bird\na.wav,"x\nb.wav,y\n', "who.csv, line 2"),
        ('file,bird\na.wav,"x" y\n', "who.csv, line 2"),
        ("file,bird,bird\na.wav,x,y\n", "two columns called bird"),
        ("x" * 200_000, "who.csv, line 1"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_such_table_is_told_in_one_line(put, content, told):
    with pytest.raises(EarshotError, match=told) as error:
        read(put(content))
    assert "\n" not in str(error.value)


def test_a_missing_table_is_told_with_what_names_it(tmp_path):
    with pytest.raises(EarshotError, match=r"who.csv is missing: layout.groups in the dataset's card names it"):
        read(tmp_path / "who.csv")
    with pytest.raises(EarshotError, match="can't be read"):
        read(tmp_path)


def test_a_row_that_contradicts_another_is_refused_and_one_that_repeats_it_dropped(put):
    assert len(read(put("file,bird\na.wav,x\na.wav,x\n"), unique=["file"])) == 1
    with pytest.raises(EarshotError, match=r"line 4: a.wav has a row already, line 2, which says otherwise"):
        read(put("file,bird\na.wav,x\nb.wav,x\na.wav,y\n"), unique=["file"])
    assert len(read(put("file,bird\n,x\n,y\na.wav,x\n"), unique=["file"])) == 3


def test_numbers_have_a_point_or_a_comma(put):
    path = put("file;at\na;1,5\nb;2.5\nc;-3e2\n")
    assert list(numbers(path, read(path, ["at"]), "at")) == [1.5, 2.5, -300]
    for wrong in ("", "soon", "nan", "inf"):
        path = put(f"file;at\na;1\nb;{wrong}\n")
        with pytest.raises(EarshotError, match=f"line 3: at is '{wrong}', and must be a number"):
            numbers(path, read(path, ["at"]), "at")


FIELD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]), st.booleans())
def test_any_table_is_read_as_it_was_written(tmp_path_factory, rows, separator, wide):
    path = tmp_path_factory.mktemp("tables") / "who.csv"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *rows])
    path.write_bytes(text.getvalue().encode("utf-16" if wide else "utf-8"))
    told = [tuple(field.strip() or None for field in row) for row in rows]
    told = [row for row in told if any(row)]
    if told:
        assert list(read(path).itertuples(index=False, name=None)) == told
    else:
        with pytest.raises(EarshotError, match="no rows"):
            read(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "who.csv"
    for start in (b"", b"file,bird\n", b"\xff\xfe"):
        path.write_bytes(start + content)
        try:
            assert list(read(path)[COLUMNS])
        except EarshotError as error:
            assert str(path) in str(error)


@pytest.fixture
def birds(project):
    """A dataset of two crows and two wrens, some called alike, and a writer of its table of groups."""
    layout = {"kind": "class_folders", "groups": {"file": "who.csv", "filename": "file", "group": "bird"}}
    project.card("birds", source={"folder": "."}, layout=layout)
    raw = project.data("raw", "birds")
    for number, name in enumerate(["crow/1.wav", "crow/2.wav", "wren/1.wav", "wren/Ü.wav"]):
        write_audio(raw / name, noise(2.5, 8000, seed=number), 8000)

    def groups(text):
        (raw / "who.csv").write_text(text, encoding="utf-8")
        return {row["recording"]: row["group"] for row in listing.recordings_of(load_card("birds"), raw)}

    return groups


def test_groups_are_found_by_name_or_by_path(birds):
    assert birds("file,bird\ncrow/1.wav,NA\n2.wav,None\n./wren/1.wav,x\nU\u0308.wav,y\n") == {
        "crow/1.wav": "NA",
        "crow/2.wav": "None",
        "wren/1.wav": "x",
        "wren/Ü.wav": "y",
    }
    assert birds("file,bird\ncrow\\1.wav,a\n1.wav,b\n")["wren/1.wav"] == "b", "the path decides which one the name is"
    assert birds("file,bird\n2.wav,a\n")["crow/1.wav"] is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,bird\n2.wav,a\n1.wav,a\n", r"line 3: '1.wav' may be crow/1.wav or wren/1.wav. Write the path"),
        ("file,bird\n1,a\n2,b\n", "file names none of the recordings; its first is '1', theirs 'crow/1.wav'"),
        ("file,bird\n,a\n", "file is empty in all rows"),
        ("file,bird\n2.wav,a\n2.wav,b\n", "line 3: 2.wav has a row already, line 2"),
        ("file,bird\ncrow/2.wav,a\n./crow/2.wav,b\n", "line 3: './crow/2.wav' has a row already, line 2"),
    ],
)
def test_a_table_of_groups_that_leaves_doubt_is_refused(birds, text, told):
    with pytest.raises(EarshotError, match=told):
        birds(text)


def test_groups_called_na_survive_the_manifest(birds, project, tmp_path):
    birds("file,bird\ncrow/1.wav,NA\n2.wav,None\nwren/1.wav,nan\nÜ.wav,null\n")
    frame = examine.build(load_card("birds"), project.data("raw", "birds"), 2.0, -80)
    files.write_table(tmp_path / "m.parquet", frame, {})
    assert list(files.read_table(tmp_path / "m.parquet")["group"]) == ["NA", "None", "nan", "null"]


def test_segments_are_told_by_line(put):
    good = put("start_sample;end_sample;source\n0;100;NA\n100;200;NA\n200;300;b\n")
    assert read_segments(good, 100).to_numpy().tolist() == [["NA", 0.0, 2.0], ["b", 2.0, 3.0]]
    for row, told in (("5;5;a", "line 2: a segment"), ("0;9;", "line 2: a segment"), ("x;9;a", "start_sample is 'x'")):
        with pytest.raises(EarshotError, match=told):
            read_segments(put(f"start_sample;end_sample;source\n{row}\n"), 100)


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """The folder of four recordings, two of them called alike; listing them opens none."""
    folder = tmp_path_factory.mktemp("four")
    for name in ("crow/1.wav", "crow/2.wav", "wren/1.wav", "wren/3.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


NAMED = st.sampled_from(["1.wav", "2.wav", "3.wav", "crow/1.wav", "wren/1.wav", "./crow/2.wav", "9.wav", ""])
GROUP = st.sampled_from(["NA", "None", "a", "b", "", "Zaunkönig", "1,5", 'a "b"'])


@given(st.lists(st.tuples(NAMED, GROUP), max_size=8), st.sampled_from(["utf-8", "utf-16", "cp1252"]))
def test_every_recording_has_the_group_of_its_row_or_none(four, rows, encoding):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";").writerows([COLUMNS, *rows])
    (four / "who.csv").write_bytes(text.getvalue().encode(encoding))
    layout = {"kind": "class_folders", "groups": {"file": "who.csv", "filename": "file", "group": "bird"}}
    card = Card(name="four", title="", task="t", licence="", citation="", source={"folder": "."}, layout=layout)
    try:
        found = listing.recordings_of(card, four)
    except EarshotError as error:
        assert "who.csv" in str(error) and "\n" not in str(error)
        return
    assert len(found) == 4, "no recording is lost"
    told = {name.removeprefix("./"): group or None for name, group in rows if name}
    for row in found:
        bare = row["recording"].split("/")[1]
        assert row["group"] == (told[row["recording"]] if row["recording"] in told else told.get(bare))
