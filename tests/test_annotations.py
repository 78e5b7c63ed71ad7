"""Label files: what is written is read again, what other programs write is read, and a wrong line is named."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.datasets.annotations.annotation import Annotation
from earshot.datasets.annotations.formats import FORMATS, read, write
from earshot.detection import formats as outputs
from earshot.detection.answer import Answer
from earshot.detection.events import Event
from earshot.errors import EarshotError

SIREN = Annotation(1.5, 4.25, "siren", file="street_0")
HORN = Annotation(7.0, 7.0, "car horn, far", file="street_0")
BOXED = Annotation(2.0, 3.0, "wren", file="street_0", low=1000.0, high=4000.5, score=0.75)
# what a format has no place for
LACKS = {
    "audacity": {"file"},
    "raven": set(),
    "dcase": {"low", "high", "score"},
    "audioset": {"low", "high", "score"},
    "csv": {"low", "high"},
}


def without(event: Annotation, names: set[str]) -> Annotation:
    return Annotation(**{**vars(event), **dict.fromkeys(names)})


def put(tmp_path, text: str | bytes, name: str = "labels.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_again(form, tmp_path):
    events = [without(event, LACKS[form]) for event in (SIREN, HORN, BOXED)]
    path = put(tmp_path, write(form, events))
    assert read(path, form).events == events


labels = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
moments = st.integers(0, 10**7).map(lambda thousandths: thousandths / 1000)


@settings(max_examples=30)
@given(st.lists(st.tuples(moments, moments, labels), max_size=5))
def test_any_label_and_time_comes_back(tmp_path_factory, drawn):
    events = [Annotation(min(pair), max(pair), label, file="a_0") for *pair, label in drawn if '"' not in label]
    for form in FORMATS:
        wanted = [without(event, LACKS[form] & {"file"}) for event in events]
        path = put(tmp_path_factory.mktemp("any"), write(form, wanted))
        assert read(path, form).events == wanted, form


@pytest.mark.parametrize("form", FORMATS)
def test_no_event_is_a_file_as_well(form, tmp_path):
    assert read(put(tmp_path, write(form, [])), form).events == []


def test_a_label_track_of_audacity(tmp_path):
    path = put(tmp_path, "0.500000\t1.750000\tdog\n\\\t300.0\t2500.0\n2,5\t2,5\tpoint of time\n\\\t-1.0\t800.0\n\n")
    dog, point = read(path, "audacity").events
    assert (dog.start, dog.end, dog.label, dog.low, dog.high) == (0.5, 1.75, "dog", 300.0, 2500.0)
    assert (point.start, point.end, point.low, point.high, point.line) == (2.5, 2.5, None, 800.0, 3)


def test_the_score_in_a_label_of_audacity_is_no_part_of_the_class(tmp_path):
    path = put(tmp_path, "0\t1\tsiren 0.87\n1\t2\tgain 0.5\n2\t3\t0.50\n")
    assert [(event.label, event.score) for event in read(path, "audacity").events] == [
        ("siren", 0.87),
        ("gain 0.5", None),
        ("0.50", None),
    ]


RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


def test_a_selection_of_raven_is_one_event_in_all_its_views(tmp_path):
    path = put(
        tmp_path,
        f"{RAVEN}\tSpecies\n"
        "1\tWaveform 1\t1\t0.5\t1.5\t0.0\t12000.0\twren\n1\tSpectrogram 1\t1\t0.5\t1.5\t2000.0\t6000.0\twren\n"
        "1\tSpectrogram 2\t2\t0.5\t1.5\t2000.0\t6000.0\twren\n2\tSpectrogram 1\t1\t0.5\t1.5\t500.0\t900.0\twren\n",
    )
    found = [(event.start, event.end, event.label, event.low, event.high) for event in read(path, "raven").events]
    assert found == [(0.5, 1.5, "wren", 2000.0, 6000.0), (0.5, 1.5, "wren", 500.0, 900.0)]


def test_the_times_of_a_raven_table_of_several_files_are_of_each_file(tmp_path):
    path = put(
        tmp_path,
        f"{RAVEN}\tBegin File\tFile Offset (s)\tAnnotation\n"
        "1\tSpectrogram 1\t1\t0.5\t1.5\t0\t8000\ta.wav\t0.5\twren\n"
        "2\tSpectrogram 1\t1\t61.0\t62.5\t0\t8000\tb.wav\t1.0\tcrow\n",
    )
    found = [(event.file, event.start, event.end) for event in read(path, "raven").events]
    assert found == [("a.wav", 0.5, 1.5), ("b.wav", 1.0, 2.5)]


def test_the_column_of_raven_labels_can_be_named(tmp_path):
    path = put(tmp_path, f"{RAVEN}\tKind\n1\tSpectrogram 1\t1\t0\t1\t0\t8000\twren\n")
    assert read(path, "raven", {"label": "Kind"}).events[0].label == "wren"
    with pytest.raises(EarshotError, match=r"labels.txt, line 1: .*layout.columns.label, of: .*Kind"):
        read(path, "raven")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("filename\tonset\toffset\tevent_label\na.wav\t0.5\t1.5\tdog\n", "a.wav"),
        ("\ufefffilename\tonset\toffset\tevent_label\r\na.wav\t0.5\t1.5\tdog\r\n", "a.wav"),
        ("onset\toffset\tevent_label\n0.5\t1.5\tdog\n", None),
        ("0.5\t1.5\tdog\n", None),
        ("a.wav\t0.5\t1.5\tdog\n", "a.wav"),
        ("a.wav\tstreet\t0.5\t1.5\tdog\n", "a.wav"),
    ],
)
def test_tables_of_dcase_with_and_without_a_header(text, file, tmp_path):
    assert read(put(tmp_path, text), "dcase").events == [Annotation(0.5, 1.5, "dog", file=file)]


def test_a_recording_without_events_is_listed(tmp_path):
    path = put(tmp_path, "filename\tonset\toffset\tevent_label\na.wav\t\t\t\nb.wav\nc.wav\t0\t1\tdog\n")
    assert read(path, "dcase").silent == {"a.wav": 2, "b.wav": 3}
    path = put(tmp_path, "file,start,end,label\na.wav,,,\n")
    assert read(path, "csv").silent == {"a.wav": 2}


def test_strong_labels_of_audioset(tmp_path):
    path = put(
        tmp_path,
        "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\nb0RFKhbpFJA_30000\t0.000\t10.000\t/m/03m9d0z\n",
    )
    assert read(path, "audioset").events == [Annotation(0, 10, "/m/03m9d0z", file="b0RFKhbpFJA_30000")]


def test_a_csv_has_the_columns_that_are_named(tmp_path):
    path = put(tmp_path, "clip,from,to,what\na.wav,0.5,1.5,dog\n")
    columns = {"file": "clip", "start": "from", "end": "to", "label": "what"}
    assert read(path, "csv", columns).events == [Annotation(0.5, 1.5, "dog", file="a.wav")]


@pytest.mark.parametrize("label", ["=1+2", "+1", "-quiet", "@home", "'=1", "''=1", "wren's", "'quoted'"])
def test_no_spreadsheet_computes_the_name_of_a_class(label, tmp_path):
    event = Annotation(0.5, 1.5, label, file="a.wav")
    [row] = csv.DictReader(io.StringIO(write("csv", [event])))
    assert row["label"][0] not in "=+-@"
    assert read(put(tmp_path, write("csv", [event])), "csv").events == [event]
    assert read(put(tmp_path, "file,start,end,label\na.wav,0,1,=1+2\n"), "csv").events[0].label == "=1+2"


def test_a_table_in_utf_16_or_cp1252_is_read(tmp_path):
    text = "0.5\t1.5\tgrünspecht\n"
    for encoding in ("utf-8", "utf-16", "cp1252"):
        assert read(put(tmp_path, text.encode(encoding)), "audacity").events[0].label == "grünspecht"


@pytest.mark.parametrize(
    ("form", "text", "told"),
    [
        ("audacity", "0\t1\tdog\n1.0 2.0 dog\n", "line 2: must be start, end and label, separated by TABs"),
        ("audacity", "0\t1\tdog\none\t2\tdog\n", "line 2: the start is 'one', and must be a number"),
        ("audacity", "3\t2\tdog\n", "line 1: the end, 2, must not be before the start, 3"),
        ("audacity", "-3\t2\tdog\n", "line 1: the start is -3, and must be 0 s or more"),
        ("audacity", "0\tnan\tdog\n", "line 1: the end is 'nan', and must be a number"),
        ("audacity", "0\t1\t\n", "line 1: the label is empty, and must name a class"),
        ("audacity", "\\\t1\t2\n", "line 1: must be a backslash"),
        ("audacity", "0\t1\tdog\n\\\tlow\t2\n", "line 2: low is 'low', and must be a number"),
        ("raven", "Selection\tBegin Time (s)\n", r"line 1: has no column End Time \(s\)"),
        ("raven", f"{RAVEN}\tAnnotation\n1\tS\t1\t0\t1\t0\t8000\t\n", "line 2: the label is empty"),
        ("raven", f"{RAVEN}\tAnnotation\n1\tS\t1\t0\t1\t0\t8000\twren\tmore\n", "line 2: 9 fields, .* has 8"),
        ("dcase", "filename\tonset\toffset\tevent_label\na.wav\t0\t\tdog\n", "line 2: the end is ''"),
        ("dcase", "a.wav\t0\t1\tdog\na.wav\t0\tdog\n", "line 2: must be filename, onset, offset, event_label"),
        ("dcase", "filename\tonset\toffset\n", "line 1: has no column event_label"),
        ("audioset", "a_0\t0\t1\tdog\n", "line 1: has no column segment_id, start_time_seconds"),
        ("csv", "file,start,end,label\na.wav,0,x,dog\n", "line 2: the end is 'x', and must be a number"),
        ("csv", "file,start,end\na.wav,0,1\n", "no column label"),
        ("audacity", b"\x00\x01\x02", "is not text"),
    ],
)
def test_a_wrong_line_is_named(form, text, told, tmp_path):
    path = put(tmp_path, text)
    with pytest.raises(EarshotError, match=told) as error:
        read(path, form)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_name_that_no_tsv_can_hold_is_refused():
    with pytest.raises(EarshotError, match="use --format csv"):
        write("dcase", [Annotation(0, 1, "dog", file="a\tb.wav")])
    assert "a\tb.wav" in write("csv", [Annotation(0, 1, "dog", file="a\tb.wav")])


ANSWER = Answer(10.0, 9, {"horn": 0.6, "other": 0.4}, [Event(1.5, 4.0, "horn", 0.8125), Event(6.0, 7.0, "horn", 0.5)])


@pytest.mark.parametrize("form", FORMATS)
def test_what_predict_writes_is_read_as_labels(form, tmp_path, capsys):
    output = outputs.OUTPUTS[form](["horn", "other"], 8000.0)
    output.answer("recordings/street.wav", ANSWER)
    found = read(put(tmp_path, capsys.readouterr().out), form).events
    assert [(event.start, event.end, event.label) for event in found] == [(1.5, 4.0, "horn"), (6.0, 7.0, "horn")]
    assert {event.file for event in found} == {
        {"audacity": None, "audioset": "street_0"}.get(form, "recordings/street.wav")
    }
    if form in ("csv", "raven"):
        assert [event.score for event in found] == [0.8125, 0.5]
    if form == "raven":
        assert {(event.low, event.high) for event in found} == {(0.0, 8000.0)}


def test_the_selections_of_several_files_are_numbered_on(capsys):
    output = outputs.OUTPUTS["raven"](["horn", "other"], 8000.0)
    for name in ("a.wav", "b.wav"):
        output.answer(name, ANSWER)
    header, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header[0] == "Selection" and [row[0] for row in rows] == ["1", "2", "3", "4"]


def test_two_files_cannot_have_one_segment_id():
    output = outputs.OUTPUTS["audioset"](["horn", "other"], 8000.0)
    output.answer("a/street.wav", ANSWER)
    with pytest.raises(EarshotError, match="segment_id street_0, as a/street.wav has: use --format dcase"):
        output.answer("b/street.wav", ANSWER)
