"""`site.conf` as the installer leaves it: the INI form, from that of the field, from what is given, or as it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from reconciler_agent.core.dotenv import is_dotenv
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.target import Target
from reconciler_agent.settings import Sections, Settings, check_sections, parse_sections, read_text

_HEADER: Final = "# Written by `neopro-agent install`; docs/box.md says what else can stand here.\n"


class Written(NamedTuple):
    """What is to stand in site.conf, and what that says."""

    text: str
    settings: Settings


def settle_conf(target: Target, conf: Path, given: Mapping[str, Mapping[str, str]]) -> Written:
    """The site.conf for this box; SettingsInvalid when it is missing or broken. `given`: sections of the command line.

    A file in the INI form is a person's: it stays as it is, and `given` may only repeat what it says.
    """
    here = target.at(conf)
    there = target.look(conf).form != "absent"
    if not there and not (given.get("site", {}).get("id") and given.get("central", {}).get("url")):
        raise SettingsInvalid(f"cannot read {here}: there is no such file; write it, or give --site and --central")
    text = read_text(here) if there else ""
    said = parse_sections(text, here)
    sections = _over(said, given)
    if there and not is_dotenv(text):
        if sections != _over(said, {}):
            raise SettingsInvalid(f"cannot change {here}: it says otherwise and a person wrote it; edit it there")
        return Written(text, check_sections(sections, here))
    return Written(_write(sections), check_sections(sections, here))


def _over(said: Sections, given: Sections) -> dict[str, dict[str, str]]:
    return {
        name: {**said.get(name, {}), **given.get(name, {})} for name in (*said, *(g for g in given if g not in said))
    }


def _write(sections: Sections) -> str:
    parts = [
        f"\n[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for name, keys in sections.items()
        if keys
    ]
    return _HEADER + "".join(parts)
