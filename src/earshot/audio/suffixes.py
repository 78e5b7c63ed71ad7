"""Which files may hold sound, by name and by content."""

from __future__ import annotations

from pathlib import Path


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


# what libsndfile decodes, as these files are usually called
LIBSNDFILE_SUFFIXES = _suffixes(
    "wav wave bwf rf64 w64 wve flac ogg oga opus spx mp3 mp2 mp1 mpga au snd aif aiff aifc afc caf avr voc sph "
    "nist pvf paf ircam svx 8svx iff vox gsm sds sd2"
)
# what goes to ffmpeg
FFMPEG_SUFFIXES = _suffixes(
    "m4a m4b mp4 m4v mov aac adts wma asf webm weba mka mkv amr awb 3gp 3g2 ac3 eac3 ape wv tta tak mpc dsf dff "
    "ra rm avi wmv flv"
)
AUDIO_SUFFIXES = LIBSNDFILE_SUFFIXES | FFMPEG_SUFFIXES
# what is never sound, so that it is not looked into: some texts begin as an mp3 does
NO_SOUND_SUFFIXES = _suffixes(
    "txt csv tsv json jsonl xml yaml yml md rst pdf html htm log lab eaf textgrid cue m3u m3u8 srt vtt lrc jams "
    "mid midi png jpg jpeg gif bmp tif tiff svg webp heic ico npy npz pkl h5 hdf5 parquet feather mat pt pth ckpt "
    "py ipynb sh m r zip gz tgz bz2 xz 7z rar tar sha256 md5 db ini tmp bak part crdownload doc docx xls xlsx ods "
    "odt ppt pptx aup aup3 au3 reapeaks asd pkf sfk raw pcm dvc gitignore sqlite lnk url exe dll"
)
# by what a file begins with; m4a and its kin have theirs four bytes later
FFMPEG_MAGIC = {
    b"\x1aE\xdf\xa3": "webm or mkv",
    b"0&\xb2u\x8ef\xcf\x11": "wma",
    b"#!AMR": "amr",
    b"wvpk": "wavpack",
    b"MAC ": "ape",
    b"TTA1": "tta",
    b"FLV\x01": "flv",
    b"\x0b\x77": "ac3",
    b".RMF": "rm",
}
LIBSNDFILE_MAGIC = (b"RIFF", b"RF64", b"RIFX", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"ID3")
LIBSNDFILE_MAGIC += (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2")  # mp3
ADTS = (b"\xff\xf1", b"\xff\xf9")  # aac; an mp3 has other bits for the layer


def kind_of_ffmpeg(path: Path) -> str | None:
    """Return what kind of sound a file holds that libsndfile does not decode; None if it holds none of those.

    The content decides, and where that says nothing, the name.

    Raises
    ------
    OSError
        If it can't be read.
    """
    with path.open("rb") as file:
        begin = file.read(12)
    suffix = path.suffix.lower()
    if begin[4:8] == b"ftyp":
        return suffix[1:] if suffix in FFMPEG_SUFFIXES else "m4a"
    if begin[:2] in ADTS:
        return "aac"
    if begin[:4] == b"RIFF" and begin[8:] == b"AVI ":
        return "avi"
    for magic, kind in FFMPEG_MAGIC.items():
        if begin.startswith(magic):
            return kind
    return suffix[1:] if suffix in FFMPEG_SUFFIXES and not _is_libsndfiles(begin) else None


def _is_libsndfiles(begin: bytes) -> bool:
    return begin.startswith(LIBSNDFILE_MAGIC)
