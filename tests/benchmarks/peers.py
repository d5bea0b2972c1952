"""The same box kept as it should be by others, where they are installed: CFEngine, Puppet, ansible-pull.

Each is given what the box has (50 videos, the release, configuration.json) as files in a folder beside it, and one
process that must run; it finds everything right. They look at files by digest, as we do over a week; `-stat` does not.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RUNNING = "sleep 86399"
"""The process that must run: nobody's, where none does."""


class _Given(NamedTuple):
    """Where a peer works, what it is to make, and from what."""

    folder: Path
    wanted: Path
    target: Path


def installed_peers(folder: Path, root: Path) -> dict[str, Callable[[], object]]:
    """Name -> one run of it."""
    wanted, target = folder / "wanted", folder / "target"
    for place in (wanted, target):
        (place / "videos").mkdir(parents=True)
        for clip in sorted((root / "videos").rglob("*.mp4")):
            shutil.copy2(clip, place / "videos")
        shutil.copytree(root / (root / "current").readlink() / "server", place / "server")
        shutil.copy2(root / "data/configuration.json", place)
    given = _Given(folder, wanted, target)
    found: dict[str, Callable[[], object]] = {}
    if shutil.which("cf-agent"):
        found["cf-agent-stat"] = _cf_agent(given, "mtime")
        found["cf-agent"] = _cf_agent(given, "digest")
    if shutil.which("puppet"):
        found["puppet-apply"] = _puppet(given)
    if shutil.which("ansible-pull") and shutil.which("git") and shutil.which("rsync"):
        found["ansible-pull"] = _ansible(given)
    return found


def _run(*words: object, **given: Any) -> Callable[[], object]:
    return lambda: subprocess.run([str(word) for word in words], check=True, capture_output=True, **given)


def _cf_agent(given: _Given, compare: str) -> Callable[[], object]:
    policy = given.folder / f"{compare}.cf"
    policy.write_text(f"""
body common control {{ bundlesequence => {{ "box" }}; }}
bundle agent box {{
  files:
    "{given.target}/." copy_from => wanted, depth_search => all;
  processes:
    "{RUNNING}" restart_class => "start_it";
}}
body copy_from wanted {{ source => "{given.wanted}/."; compare => "{compare}"; }}
body depth_search all {{ depth => "inf"; }}
""")
    policy.chmod(0o600)
    return _run("cf-agent", "--no-lock", "--file", policy)


def _puppet(given: _Given) -> Callable[[], object]:
    manifest = given.folder / "box.pp"
    manifest.write_text(f"""
file {{ '{given.target}': ensure => directory, recurse => true, source => '{given.wanted}', checksum => sha256 }}
""")
    place = given.folder / "puppet"
    return _run("puppet", "apply", "--confdir", place / "conf", "--vardir", place / "var", manifest)


def _ansible(given: _Given) -> Callable[[], object]:
    """Its best case: two runs of rsync; its own modules take one step a file."""
    repository = given.folder / "playbook"
    repository.mkdir()
    (repository / "local.yml").write_text(f"""
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.command: rsync -ac --delete {given.wanted}/videos/ {given.target}/videos/
      changed_when: false
    - ansible.builtin.command: rsync -ac --delete {given.wanted}/server/ {given.target}/server/
      changed_when: false
    - ansible.builtin.copy: {{src: "{given.wanted}/configuration.json", dest: "{given.target}/", mode: preserve}}
""")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*author, "commit", "-qm", "The box")):
        subprocess.run(["git", *words], cwd=repository, check=True)
    place = given.folder / "ansible"
    return _run("ansible-pull", "-U", repository, "-C", "main", "-d", place, "-i", "localhost,", "local.yml")
