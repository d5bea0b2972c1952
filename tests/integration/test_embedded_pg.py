"""PostgreSQL as a child process: first start, next start, crashes, refusals, and who may read what."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from control_plane.errors import DatabaseUnavailable
from control_plane.store.binaries import Programs, anyone_may_reach
from control_plane.store.embedded import EmbeddedPostgres, running_conninfo
from control_plane.store.server_process import pid_file
from tests.support.patience import PATIENCE_S, promised
from tests.support.postgres import newest_and_oldest

HOLD = """
import asyncio, pathlib, sys
from control_plane.store.embedded import EmbeddedPostgres
async def main():
    print(await EmbeddedPostgres(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).start(), flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
# For what our launcher does alone, whatever it launches.
one_version = pytest.mark.parametrize("programs", newest_and_oldest()[:1], ids=lambda p: f"pg{p.major}", indirect=True)
Make = Callable[..., EmbeddedPostgres]


@pytest.fixture(scope="module", params=newest_and_oldest(), ids=lambda p: f"pg{p.major}")
def programs(request: pytest.FixtureRequest) -> Programs:
    found: Programs = request.param
    return found


@pytest.fixture(scope="module")
def stopped_server(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that was started once: a copy of it starts in a fraction of the time."""
    folder = tmp_path_factory.mktemp("stopped") / "pg"
    server = EmbeddedPostgres(folder, programs.folder)
    start(server)
    stop(server)
    return folder


@pytest.fixture
def folder(stopped_server: Path, tmp_path: Path) -> Path:
    """A folder of a server that was started before."""
    subprocess.run(["cp", "-a", stopped_server, tmp_path / "pg"], check=True)
    return tmp_path / "pg"


@pytest.fixture
def make(programs: Programs, tmp_path: Path) -> Iterator[Make]:
    """Makes servers on `tmp_path/pg`, stopped at the end."""
    made: list[EmbeddedPostgres] = []

    def make_one(
        where: Path = tmp_path / "pg", binaries: Path | None = programs.folder, **settings: str
    ) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(where, binaries, settings))
        return made[-1]

    yield make_one
    for server in made:
        asyncio.run(server.stop())


def start(server: EmbeddedPostgres) -> str:
    return asyncio.run(server.start())


def stop(server: EmbeddedPostgres) -> None:
    asyncio.run(server.stop())


def ask(conninfo: str, statement: str) -> object:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def refusal(server: EmbeddedPostgres) -> str:
    with pytest.raises(DatabaseUnavailable) as refused:
        start(server)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def eventually(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def hold(folder: Path, programs: Programs) -> tuple[subprocess.Popen[str], str]:
    """Another process that has a server on `folder`, and its connection string."""
    command = [sys.executable, "-c", HOLD, str(folder), str(programs.folder)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    conninfo = holder.stdout.readline().strip()
    assert conninfo
    return holder, conninfo


def end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert holder.stdout is not None
    holder.stdout.close()


def test_next_start_finds_what_was_written(make: Make, programs: Programs) -> None:
    server = make()
    conninfo = start(server)
    assert ask(conninfo, "show server_version_num") is not None
    assert str(ask(conninfo, "show server_version")).startswith(str(programs.major))
    ask(conninfo, "create table kept as select 42 as n")
    stop(server)
    started = time.monotonic()
    conninfo = start(server)
    warm_s = time.monotonic() - started
    assert ask(conninfo, "select n from kept") == 42
    assert warm_s < promised(2), "a warm start takes a tenth of a second on an idle machine"


def test_text_is_unicode_and_data_is_checked(make: Make, folder: Path) -> None:
    conninfo = start(make())
    assert ask(conninfo, "select upper('é') || current_setting('server_encoding')") == "ÉUTF8"
    assert ask(conninfo, "show data_checksums") == "on"


def test_server_listens_on_its_socket_alone_and_wants_the_password(make: Make, folder: Path) -> None:
    conninfo = start(make())
    assert ask(conninfo, "show listen_addresses") == ""
    for wrong in ({"password": "wrong"}, {"user": "postgres"}):
        with pytest.raises(psycopg.OperationalError):
            ask(make_conninfo(conninfo, **wrong), "select 1")


@one_version
def test_folders_and_password_are_private(make: Make, tmp_path: Path) -> None:
    start(make())
    folder = tmp_path / "pg"
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in (".", "data", "password", "lock")}
    assert modes == {".": 0o700, "data": 0o700, "password": 0o600, "lock": 0o600}
    assert {(folder / name).stat().st_uid for name in (".", "password")} == {os.geteuid()}


@as_root
def test_as_root_the_server_is_nobody_who_reads_only_its_data(make: Make, folder: Path) -> None:
    conninfo = start(make())
    nobody, server = pwd.getpwnam("nobody").pw_uid, pid_file(folder / "data")[0]
    assert Path(f"/proc/{server}").stat().st_uid == nobody
    groups = next(line for line in Path(f"/proc/{server}/status").read_text().splitlines() if line.startswith("Groups"))
    assert groups.split() == ["Groups:"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(conninfo, f"select pg_read_file('{folder}/password')")


@as_root
def test_folder_under_a_private_one_needs_no_wider_permissions(make: Make, tmp_path: Path) -> None:
    private = tmp_path / "root" / "checkout"
    private.mkdir(parents=True)
    private.parent.chmod(0o700)
    before = [p.stat().st_mode for p in private.parents]
    server = make(private / "var" / "pg")
    ask(start(server), "create table kept as select 1 as n")
    stop(server)
    assert ask(start(server), "select n from kept") == 1
    assert [p.stat().st_mode for p in private.parents] == before


@as_root
@one_version
def test_programs_under_a_private_folder_run_from_a_copy_that_goes_with_the_server(
    make: Make, programs: Programs, tmp_path: Path, folder: Path
) -> None:
    if "site-packages" not in str(programs.folder):
        pytest.skip("only the wheel's programs can be moved")
    private = tmp_path / "site-packages" / "package" / programs.folder.parent.name
    shutil.copytree(programs.folder.parent, private, copy_function=os.link)
    for libraries in programs.folder.parent.parent.parent.glob("*.libs"):
        shutil.copytree(libraries, tmp_path / "site-packages" / libraries.name, copy_function=os.link)
    tmp_path.chmod(0o700)
    assert not anyone_may_reach(private / "bin" / "postgres")
    server = make(binaries=private / "bin")
    assert ask(start(server), "select 1") == 1
    record = folder / "programs"
    copied = Path(record.read_text())
    assert anyone_may_reach(copied / "postgres")
    stop(server)
    assert not copied.exists()
    assert not record.exists()

    holder, _ = hold(folder, Programs(private / "bin", programs.major))
    left = Path(record.read_text())
    end(holder)
    assert left.exists()
    start(server)
    assert not left.exists()


@as_root
@one_version
def test_data_of_another_user_is_served_as_that_user(make: Make, folder: Path) -> None:
    server = make()
    start(server)
    stop(server)
    daemon = pwd.getpwnam("daemon")
    subprocess.run(["chown", "-R", f"{daemon.pw_uid}:{daemon.pw_gid}", folder / "data"], check=True)
    start(server)
    assert Path(f"/proc/{pid_file(folder / 'data')[0]}").stat().st_uid == daemon.pw_uid


def is_ours(python: str) -> bool:
    """Whether that Python is of our version, and can import what was installed for ours."""
    said = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
    return said.stdout.strip() == str(sys.version_info[:2])


@as_root
@one_version
def test_ordinary_user_needs_no_other(programs: Programs, tmp_path: Path) -> None:
    """The same as an ordinary user, where one can run Python here."""
    python = shutil.which("python3", path="/usr/bin")
    nobody = pwd.getpwnam("nobody")
    if python is None or not anyone_may_reach(programs.folder / "postgres") or not is_ours(python):
        pytest.skip("no Python or no programs that an ordinary user can run")
    shutil.rmtree(place := Path("/tmp") / f"neopro-test-{os.getpid()}", ignore_errors=True)
    place.mkdir(mode=0o700)
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    packages = ":".join(p for p in sys.path if p.endswith("site-packages"))
    root = Path(__file__).parents[2]
    code = HOLD.replace("await asyncio.sleep(3600)", "")
    try:
        said = subprocess.run(
            [python, "-c", code, str(place / "pg"), str(programs.folder)],
            env={"PYTHONPATH": f"{root}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if "ModuleNotFoundError" in said.stderr or "ImportError" in said.stderr or "Permission" in said.stderr:
            pytest.skip(f"an ordinary user cannot import our packages here: {said.stderr.splitlines()[-1]}")
        assert conninfo_to_dict(said.stdout.strip())["user"] == "neopro", said.stderr
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_server_dies_with_its_parent_and_the_next_start_recovers(make: Make, programs: Programs, folder: Path) -> None:
    holder, conninfo = hold(folder, programs)
    ask(conninfo, "create table kept as select generate_series(1, 1000) as n")
    server = pid_file(folder / "data")[0]
    assert not is_gone(server)
    end(holder)
    assert ask(start(make()), "select count(*) from kept") == 1000
    assert is_gone(server)


@one_version
def test_server_ends_soon_after_its_parent(programs: Programs, folder: Path) -> None:
    holder, _ = hold(folder, programs)
    server = pid_file(folder / "data")[0]
    end(holder)
    eventually(lambda: is_gone(server))


@one_version
def test_interrupt_at_the_terminal_does_not_reach_the_server(make: Make, folder: Path) -> None:
    start(make())
    assert os.getsid(int(pid_file(folder / "data")[0])) != os.getsid(0)


def test_second_start_on_a_folder_is_refused_in_a_sentence(make: Make, programs: Programs, folder: Path) -> None:
    holder, conninfo = hold(folder, programs)
    try:
        said = refusal(make())
        assert f"process {holder.pid} has it running" in said
        assert ask(conninfo, "select 1") == 1, "the first one goes on"
    finally:
        end(holder)


@one_version
def test_second_start_in_the_same_process_is_refused(make: Make, folder: Path) -> None:
    first = make()
    conninfo = start(first)
    assert "has it running" in refusal(make())
    assert ask(conninfo, "select 1") == 1
    stop(first)
    start(make())


@one_version
def test_other_process_connects_to_the_one_that_runs(programs: Programs, folder: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot reach PostgreSQL"):
        running_conninfo(folder)
    holder, _ = hold(folder, programs)
    server = pid_file(folder / "data")[0]
    try:
        assert ask(running_conninfo(folder), "select 1") == 1
    finally:
        end(holder)
    eventually(lambda: is_gone(server))
    with pytest.raises(DatabaseUnavailable, match="none runs there; start it with: neopro serve"):
        running_conninfo(folder)


def test_deep_folder_is_reached_though_its_socket_address_is_short(make: Make, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8)
    conninfo = start(make(deep))
    assert len(str(deep)) > 107
    assert ask(conninfo, "select 1") == 1
    assert ask(running_conninfo(deep), "select 1") == 1


@one_version
def test_missing_programs_say_what_to_install(make: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = refusal(make(binaries=tmp_path / "empty"))
    assert "not installed" in said
    assert "apt install postgresql" in said
    assert not (tmp_path / "pg" / "data").exists()


@one_version
def test_data_of_another_version_says_which(make: Make, tmp_path: Path) -> None:
    data = tmp_path / "pg" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    said = refusal(make())
    assert "made by version 9" in said
    assert "postgresql-9" in said


def test_server_that_does_not_start_says_why_and_leaves_nothing_running(make: Make, folder: Path) -> None:
    server = make(shared_buffers="plenty")
    said = refusal(server)
    assert 'invalid value for parameter "shared_buffers"' in said
    assert str(folder / "log") in said
    assert not (folder / "data" / "postmaster.pid").exists()
    assert ask(start(make()), "select 1") == 1


@one_version
def test_damaged_data_says_why(make: Make, folder: Path) -> None:
    server = make()
    start(server)
    stop(server)
    (folder / "data" / "global" / "pg_control").unlink()
    assert "pg_control" in refusal(server)


@one_version
def test_first_start_that_was_interrupted_begins_again(make: Make, tmp_path: Path) -> None:
    half = tmp_path / "pg" / "making" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (tmp_path / "pg" / "password").write_text("of the first try")
    assert ask(start(make()), "select 1") == 1
    assert not half.parent.exists()


def test_full_disk_says_so_and_leaves_no_database(programs: Programs, tmp_path: Path) -> None:
    code = """
import asyncio, pathlib, resource, sys
from control_plane.errors import DatabaseUnavailable
from control_plane.store.embedded import EmbeddedPostgres
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    asyncio.run(EmbeddedPostgres(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).start())
except DatabaseUnavailable as problem:
    print(problem)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "pg"), str(programs.folder)]
    said = subprocess.check_output(command, text=True)
    assert said.startswith("cannot make a database"), said
    assert said.count("\n") == 1
    assert not (tmp_path / "pg" / "data").exists()


@one_version
def test_pid_file_whose_number_is_another_process_by_now_is_no_obstacle(make: Make, folder: Path) -> None:
    server = make()
    start(server)
    stop(server)
    user = {"user": pwd.getpwnam("nobody").pw_uid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "60"], cwd="/", **user)  # type: ignore[call-overload]
    try:
        (folder / "data" / "postmaster.pid").write_text(f"{other.pid}\n/\n0\n5432\n\n\n\nready   \n")
        assert ask(start(server), "select 1") == 1
    finally:
        other.kill()
        other.wait()


@one_version
def test_server_that_was_killed_is_started_again(make: Make, folder: Path) -> None:
    server = make()
    ask(start(server), "create table kept as select 1 as n")
    os.kill(int(pid_file(folder / "data")[0]), signal.SIGKILL)
    stop(server)
    assert ask(start(server), "select n from kept") == 1


def test_clients_do_not_hold_up_the_stop(make: Make, folder: Path) -> None:
    server = make()
    connection = psycopg.connect(start(server))
    connection.execute("create temporary table busy as select 1")
    started = time.monotonic()
    stop(server)
    assert time.monotonic() - started < promised(4)
    connection.close()


@one_version
def test_stop_without_start_does_nothing(make: Make) -> None:
    stop(make())
