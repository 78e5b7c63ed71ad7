"""A project of one's own: `earshot new` makes it, `earshot upgrade` brings it up to date and keeps what is yours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from conftest import PROJECT, clone
from earshot.cli.main import main
from earshot.scaffold import base, new, template


def call(*arguments: str, **options):
    return CliRunner().invoke(main, arguments, **options)


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """A new project, which is the current one."""
    folder = tmp_path / "mine"
    monkeypatch.setenv("EARSHOT_ROOT", str(folder))
    assert call("new", str(folder)).exit_code == 0
    return folder


def test_a_new_project_has_settings_stages_git_and_dvc(mine):
    assert {path.name for path in mine.iterdir()} == {
        *(".dvc", ".dvcignore", ".earshot.json", ".git", ".gitignore"),
        *("README.md", "conf", "custom", "data", "dvc.yaml", "params.yaml"),
    }
    for name in ("params.yaml", "dvc.yaml", "conf/model/cnn.yaml", "conf/cards/gtzan.yaml"):
        assert (mine / name).read_text() == (PROJECT / name).read_text()
    assert (mine / ".dvc" / "config").read_text().split() == (
        [
            "[core]",
            "analytics",
            "=",
            "False",
            "autostage",
            "=",
            "False",
            "[cache]",
            "type",
            "=",
            "reflink,",
            "hardlink,",
            "copy",
        ]
    )
    subprocess.run(["git", "add", "--all"], cwd=mine, check=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=mine, capture_output=True, text=True, check=True).stdout.split()
    assert set(template.contents()) < set(tracked), "nothing that earshot wrote is ignored"


def test_without_git(tmp_path):
    done = call("new", str(tmp_path / "mine"), "--no-git")
    assert done.exit_code == 0 and not (tmp_path / "mine" / ".git").exists()
    assert "no_scm = True" in (tmp_path / "mine" / ".dvc" / "config").read_text()


def test_within_a_repository_it_is_a_part_of_that(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert call("new", str(tmp_path / "mine")).exit_code == 0
    assert not (tmp_path / "mine" / ".git").exists()


def test_nothing_that_is_there_is_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = call("new", str(tmp_path))
    assert done.exit_code == 1 and "is there already" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_project_that_could_not_be_made_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "keep", lambda *_: 1 / 0)
    (tmp_path / "empty").mkdir()
    for name in ("mine", "empty"):
        with pytest.raises(ZeroDivisionError):
            new.make(tmp_path / name, under_git=False)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"] and not list((tmp_path / "empty").iterdir())


def test_without_git_on_the_machine_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("new", str(tmp_path / "mine"))
    assert done.exit_code == 1 and "earshot new --no-git" in done.output and not (tmp_path / "mine").exists()


# An earlier version's project: without a setting, with another default, a file less and a file more.
SETTING = "  guard_seconds: 2.0"
DEFAULT = ("  random_state: 12", "  random_state: 11")


@pytest.fixture
def older(mine) -> Path:
    texts = template.contents()
    texts["params.yaml"] = re.sub(rf"{SETTING}.*\n", "", texts["params.yaml"]).replace(*DEFAULT)
    del texts["conf/model/crnn.yaml"]
    texts["conf/model/former.yaml"] = "name: former\n"
    (mine / "conf" / "model" / "crnn.yaml").unlink()
    for name in ("params.yaml", "conf/model/former.yaml"):
        (mine / name).write_text(texts[name])
    (mine / base.NAME).write_text(json.dumps({"version": "0.1.0", "files": texts}))
    return mine


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_the_user_has_not_changed_becomes_that_of_the_newer_version(older):
    edit(older / "params.yaml", "seeds: [0]", "seeds: [0, 1]")
    done = call("upgrade", "--yes")
    assert done.exit_code == 0, done.output
    text = (older / "params.yaml").read_text()
    assert SETTING in text and DEFAULT[0] in text, "earshot's"
    assert "seeds: [0, 1]" in text, "the user's"
    assert (older / "conf" / "model" / "crnn.yaml").is_file() and not (
        older / "conf" / "model" / "former.yaml"
    ).exists()
    assert f"+{SETTING}" in done.output and f"-{DEFAULT[1]}" in done.output, "the difference is shown"
    again = call("upgrade")
    assert again.exit_code == 0 and again.output == f"all is as in earshot {template.version()}\n"


def test_nothing_is_written_before_it_was_asked(older):
    before = {path: path.read_bytes() for path in older.rglob("*") if path.is_file()}
    done = call("upgrade")
    assert done.exit_code == 1 and f"+{SETTING}" in done.output and "earshot upgrade --yes" in done.output
    assert {path: path.read_bytes() for path in older.rglob("*") if path.is_file()} == before


def test_what_both_have_changed_is_written_with_both(older):
    edit(older / "params.yaml", DEFAULT[1], "  random_state: 99")
    done = call("upgrade", "--yes")
    assert "params.yaml: 1 place that you and earshot have both changed" in done.output
    text = (older / "params.yaml").read_text()
    marked = [line for line in text.splitlines() if line.startswith(("<<<<<<<", "=======", ">>>>>>>"))]
    assert marked == ["<<<<<<< yours", "=======", f">>>>>>> earshot {template.version()}"]
    assert "  random_state: 99" in text and DEFAULT[0] in text
    checked = call("doctor")
    assert checked.exit_code == 1 and "params.yaml" in checked.output, "until the user has chosen"


def test_files_that_are_the_users_stay(older):
    edit(older / "conf" / "model" / "former.yaml", "former", "kept")  # earshot has it no more
    (older / "conf" / "model" / "crnn.yaml").write_text("name: mine\n")  # earshot has one of that name now
    (older / "conf" / "model" / "ann.yaml").unlink()  # the user has removed it
    done = call("upgrade", "--yes")
    assert (older / "conf" / "model" / "former.yaml").read_text() == "name: kept\n"
    assert (older / "conf" / "model" / "crnn.yaml").read_text() == "name: mine\n"
    assert not (older / "conf" / "model" / "ann.yaml").exists()
    for name in ("former", "crnn"):
        assert f"conf/model/{name}.yaml is another in earshot {template.version()}; yours stays" in done.output


@pytest.mark.parametrize("content", ['{"version": 1}', "[]", "{", '{"version": "0.1.0"}'])
def test_a_damaged_list_of_what_was_written_is_told(mine, content):
    (mine / base.NAME).write_text(content)
    done = call("upgrade")
    assert done.exit_code == 1 and base.NAME in done.output and "Traceback" not in done.output


def test_a_project_of_a_newer_version_is_left_alone(mine):
    (mine / base.NAME).write_text(json.dumps({"version": "99.0", "files": {}}))
    done = call("upgrade")
    assert done.exit_code == 1 and "pip install --upgrade earshot" in done.output


def test_a_clone_is_told_how_it_is_brought_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    done = call("upgrade")
    assert done.exit_code == 1 and "git pull" in done.output


def test_doctor_tells_of_an_older_project(older):
    assert (
        f"of earshot 0.1.0, and {template.version()} is installed\n         -> earshot upgrade" in call("doctor").output
    )


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of the code as git has it or would add it."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    clone(source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-qw", str(made), str(source)]
    subprocess.run(build, check=True)
    [path] = made.glob("*.whl")
    return path


@pytest.mark.process
def test_a_wheel_holds_the_package_a_projects_files_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "hydra_plugins/earshot_launcher/launcher.py" in names
    names = {name for name in names if not name.startswith("hydra_plugins/")}
    package = {name.removeprefix("earshot/") for name in names if name.startswith("earshot/")}
    code = {path.relative_to(PROJECT / "src" / "earshot") for path in (PROJECT / "src" / "earshot").rglob("*")}
    code = {path.as_posix() for path in code if path.suffix and "__pycache__" not in path.parts}
    given = {f"scaffold/template/{name}" for name in template.contents() if name not in template.BESIDE.values()}
    assert package == code | given | {"scaffold/beside/gitignore"}
    assert {Path(name).name for name in names - {f"earshot/{name}" for name in package}} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"),
    }


def test_what_the_wheel_takes_from_the_clone_is_named_once_in_each_place():
    taken = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    taken = taken["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert taken == {name: f"earshot/scaffold/template/{name}" for name in template.SHARED}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment with the wheel, which finds all other packages in this environment."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    [packages] = folder.glob("lib/*/site-packages")
    # a path in a .pth is searched, and .pth files in it, such as that of this clone's code, are not read
    (packages / "others.pth").write_text(f"{Path(yaml.__file__).parent.parent}\n")
    return folder / "bin"


@pytest.mark.process
def test_a_project_runs_with_the_package_that_is_installed(installed, tmp_path):
    def run(*command: str, cwd: Path = tmp_path) -> str:
        environment = {"PATH": f"{installed}:/usr/bin:/bin", "HOME": str(tmp_path), "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    mine = tmp_path / "mine"
    run(str(installed / "earshot"), "new", "mine")
    where = run("python", "-c", "import earshot; print(earshot.__file__)", cwd=mine)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run("python", "-c", "from earshot import provenance; print(provenance.commit())", cwd=mine).strip() == (
        template.version()
    ), "not a commit of the project that the environment may lie in"
    edit(mine / "params.yaml", "datasets: [synthetic_genres, synthetic_sirens]", "datasets: [synthetic_sirens]")
    said = run(str(installed / "earshot"), "repro", "manifest@synthetic_sirens", cwd=mine)
    assert (mine / "data" / "manifest" / "synthetic_sirens.parquet").is_file(), said
    lock = yaml.safe_load((mine / "dvc.lock").read_text())["stages"]
    assert {dep["path"] for dep in lock["manifest@synthetic_sirens"]["deps"]} >= {"data/code/manifest.json"}
    # a newer version of the package: the stage whose code is another runs again, and no other
    [code] = installed.parent.glob("lib/*/site-packages/earshot/stages/manifest.py")
    code.write_text(code.read_text() + "\n# newer\n")
    again = run("python", "-m", "dvc", "repro", "manifest@synthetic_sirens", cwd=mine)
    assert re.findall(r"Running stage '([a-z]+)", again) == ["code", "manifest"]
