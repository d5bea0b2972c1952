"""`neopro`: finds the verb, imports it alone, and turns what happens into an exit status.

0 done · 1 the answer is no (problems, not converged) · 2 it could not run · 130 interrupted. Every failure is one
sentence on standard error.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

VERBS: Final = {
    "demo": ("cli.verbs.demo:demo", "start a control plane and six boxes on this machine"),
    "serve": ("cli.verbs.serve:serve", "run the control plane"),
    "init": ("cli.verbs.init:init", "start a fleet-state repository, or bring its schemas up to date"),
    "validate": ("cli.verbs.validate:validate", "check a fleet-state repository: every problem, with its line"),
    "plan": ("cli.verbs.plan:plan", "show what a change will do to every site, before it is merged"),
    "why": ("cli.verbs.why:why", "tell where every value of a site comes from: file, line, commit, author"),
    "show": ("cli.verbs.show:show", "show what a site is to be: its resolved desired state"),
    "diff": ("cli.verbs.diff:diff", "show what a site is to be beside what its box reported"),
    "alerts": ("cli.verbs.alerts:alerts", "list what worries somebody"),
    "history": ("cli.verbs.history:history", "list the commits that changed a site"),
    "explain": ("cli.verbs.explain:explain", "say what a code of a problem means, and what to do"),
    "status": ("cli.verbs.status:status", "show every site, or how far a commit got: in sync or not, and why"),
    "logs": ("cli.verbs.logs:logs", "print what an operation fetched from boxes"),
    "metrics": ("cli.verbs.metrics:metrics", "show what a box measured, over time"),
    "conditions": ("cli.verbs.conditions:conditions", "show which conditions of a site held, from when to when"),
    "report": ("cli.verbs.report:report", "show how it went, by week or month: heard, changed, in trouble"),
    "monitoring": ("cli.verbs.monitoring:monitoring", "print the alert rules for Prometheus, or Grafana's dashboard"),
    "gc": ("cli.verbs.gc:gc", "let the control plane delete files that nothing needs any more"),
    "usb": ("cli.verbs.usb:usb", "write a USB stick for boxes without a network"),
    "video add": ("cli.verbs.video_add:video_add", "upload videos, add them to the library and to a set"),
    "video list": ("cli.verbs.video_list:video_list", "list the library: size, duration, sets, days"),
    "video where": ("cli.verbs.video_where:video_where", "tell which sets, layers and sites want a video"),
    "video remove": ("cli.verbs.video_remove:video_remove", "take videos out of the library"),
    "set list": ("cli.verbs.set_list:set_list", "list the video sets, and how many sites each comes to"),
    "set add": ("cli.verbs.set_add:set_add", "put videos into a set, or make a set"),
    "set remove": ("cli.verbs.set_remove:set_remove", "take videos out of a set"),
    "release add": ("cli.verbs.release_add:release_add", "upload a release, sign it into the release list"),
    "release list": (
        "cli.verbs.release_list:release_list",
        "list the releases: allowed or not, and for how many sites",
    ),
    "release show": (
        "cli.verbs.release_show:release_show",
        "show a release: who is to run it, needs, patches, changes",
    ),
    "release revoke": ("cli.verbs.release_revoke:release_revoke", "let no box run a release any more"),
    "rollout list": ("cli.verbs.rollout_list:rollout_list", "list what is rolled out in waves, and how it goes"),
    "rollout show": ("cli.verbs.rollout_show:rollout_show", "show a rollout wave by wave, and its sites"),
    "rollout resume": ("cli.verbs.rollout_resume:rollout_resume", "go on with a rollout that halted"),
    "site add": ("cli.verbs.site_add:site_add", "add a new club's box"),
    "site list": ("cli.verbs.site_list:site_list", "list the sites, or those that fit"),
    "site show": ("cli.verbs.site_show:site_show", "show a site: facts, groups, what it resolves to in brief"),
    "site edit": ("cli.verbs.site_edit:site_edit", "change a site by KEY=VALUE, or in your editor"),
    "site retire": ("cli.verbs.site_retire:site_retire", "a club leaves: its box stops converging"),
    "site replace": ("cli.verbs.site_replace:site_replace", "a new box takes the place of a dead one"),
    "group add": ("cli.verbs.group_add:group_add", "add a group: sites chosen by what they are, and a layer for them"),
    "group list": ("cli.verbs.group_list:group_list", "list the groups, their sites and what they set"),
    "group members": ("cli.verbs.group_members:group_members", "list the sites in a group"),
    "config get": ("cli.verbs.config_get:config_get", "print the box configuration of a site or of a layer"),
    "config set": ("cli.verbs.config_set:config_set", "set a key of the box configuration in a layer"),
    "op reboot": ("cli.verbs.op_reboot:op_reboot", "reboot boxes, once"),
    "op restart": ("cli.verbs.op_restart:op_restart", "restart a service of boxes, once"),
    "op logs": ("cli.verbs.op_logs:op_logs", "fetch the logs of boxes"),
    "op self-test": ("cli.verbs.op_self_test:op_self_test", "let boxes look themselves over"),
    "op retry": ("cli.verbs.op_retry:op_retry", "let boxes try again what they gave up"),
    "rollback": ("cli.verbs.rollback:rollback", "take back the last change of a site or a group"),
    "secret encrypt": ("cli.verbs.secret_encrypt:secret_encrypt", "encrypt a secret that only its boxes can read"),
    "import": ("cli.verbs.import_:import_", "make a repository of an export of the existing central database"),
    "doctor": ("cli.verbs.doctor:doctor", "say what is wrong with this machine's set-up, and what to do"),
    "completion": ("cli.verbs.completion:completion", "print what bash, zsh or fish need to complete this command"),
    "keys init": ("cli.verbs.keys_init:keys_init", "make the keys of a new fleet and its trust folder"),
    "keys show": ("cli.verbs.keys_show:keys_show", "show who may sign what, and until when"),
    "keys rotate": ("cli.verbs.keys_rotate:keys_rotate", "a new key takes the place of an old one"),
    "keys renew": ("cli.verbs.keys_renew:keys_renew", "give trust root and release list new dates"),
    "keys signer": ("cli.verbs.keys_signer:keys_signer", "say who may sign commits"),
    "enrol token": ("cli.verbs.enrol_token:enrol_token", "make a one-time token for a new box"),
    "enrol list": ("cli.verbs.enrol_list:enrol_list", "list the new boxes that wait to be let in"),
    "enrol accept": ("cli.verbs.enrol_accept:enrol_accept", "let a new box in: its keys into its site's file"),
    "enrol revoke": ("cli.verbs.enrol_revoke:enrol_revoke", "end a one-time token"),
    "user add": ("cli.verbs.user_add:user_add", "make an account (on the server)"),
    "user list": ("cli.verbs.user_list:user_list", "list accounts (on the server)"),
    "user disable": ("cli.verbs.user_disable:user_disable", "let nobody in by an account (on the server)"),
    "user link": ("cli.verbs.user_link:user_link", "an account for somebody at the OpenID provider (on the server)"),
    "user reset": ("cli.verbs.user_reset:user_reset", "a new password for an account (on the server)"),
    "token add": ("cli.verbs.token_add:token_add", "make a personal token (on the server)"),
    "token list": ("cli.verbs.token_list:token_list", "list personal tokens (on the server)"),
    "token revoke": ("cli.verbs.token_revoke:token_revoke", "revoke a personal token (on the server)"),
}
"""Words of a verb -> the function behind it, and what it does."""

SUBJECTS: Final = {
    "video": "videos of the library",
    "set": "video sets: which videos, where on the box, from when to when",
    "release": "releases of the box's applications",
    "rollout": "rollouts: a new release or agent that comes in waves",
    "site": "sites: one box each",
    "enrol": "new boxes: one-time tokens, and the keys that boxes sent with them",
    "group": "groups of sites, and their layers",
    "config": "the boxes' configuration",
    "op": "operations: what boxes do once",
    "secret": "secrets that only boxes can read",
    "keys": "the fleet's keys",
    "user": "people's accounts on the status page",
    "token": "personal tokens",
}

HELP: Final = (["--help"], ["-h"])

EXAMPLES: Final = """\
Examples:
  neopro demo                                               see it all at work
  neopro video add clip.mp4 --set annonces-nationales       then: git commit, git push
  neopro validate && git push
  neopro status --watch

Exit status: 0 done, 1 the answer is no, 2 it could not run. `neopro VERB --help` says more;
`neopro help environment` tells which settings there are and where they may stand."""


def overview() -> str:
    """The help of `neopro` itself; it imports nothing, so it is there at once."""
    width = max(map(len, VERBS))
    single = [f"  {words:<{width}}  {purpose}" for words, (_, purpose) in VERBS.items() if " " not in words]
    double = [f"  {words:<{width}}  {purpose}" for words, (_, purpose) in VERBS.items() if " " in words]
    title = "neopro: operate a fleet of boxes that converge on a Git repository"
    return "\n".join([title, "", "Usage: neopro VERB …", "", *single, "", *double, "", EXAMPLES])


def overview_of(subject: str) -> str:
    """The help of `neopro SUBJECT`."""
    verbs = [f"  neopro {words:<14} {what}" for words, (_, what) in VERBS.items() if words.startswith(f"{subject} ")]
    return "\n".join([SUBJECTS[subject], "", *verbs, "", f"`neopro {subject} VERB --help` says more."])


def run(words: Sequence[str]) -> int:
    """Run the verb that `words` name; its exit status."""
    try:
        return _run(list(words))
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def main() -> None:
    """The entry point of the command."""
    sys.exit(run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        if words[1:] == ["environment"]:
            return _print(_environment())
        words = [*words[1:], "--help"]
    if words[:1] == ["__complete"]:
        return _complete(words[1:])
    if not words or words in HELP:
        return _print(overview())
    if words == ["--version"]:
        return _print(_version())
    if words[0] in SUBJECTS and (not words[1:] or words[1:] in HELP):
        return _print(overview_of(words[0]))
    return _run_verb(words)


def _run_verb(words: list[str]) -> int:
    from cli.errors import CommandFailed
    from control_plane.errors import FleetError

    try:
        name = _named_verb(words)
        rest = words[len(name.split()) :]
        from cli.verb import Verb

        verb = Verb(name, VERBS[name][0])
        if asks_for_help(rest):
            return _print(verb.help(_columns()))
        status = verb.run(rest)
    except CommandFailed as problem:
        return _complain(str(problem), problem.status)
    except FleetError as problem:
        return _complain(str(problem), 2)
    except BrokenPipeError:
        raise
    except OSError as problem:
        return _complain(f"cannot go on: {problem.strerror or problem}: {problem.filename or words[0]}", 2)
    return status if isinstance(status, int) else 0


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether `--help` or `-h` is among the words before a `--`."""
    meant = words[: words.index("--")] if "--" in words else words
    return "--help" in meant or "-h" in meant


def _named_verb(words: list[str]) -> str:
    """The verb that `words` begin with; CommandFailed, with the nearest one, where there is none."""
    from cli.errors import CommandFailed

    wanted = " ".join(words[:2]) if words[0] in SUBJECTS else words[0]
    if wanted in VERBS:
        return wanted
    if wanted.startswith("-"):
        raise CommandFailed(f"cannot run neopro {wanted}: there is no such option; see: neopro --help")
    from difflib import get_close_matches

    near = get_close_matches(wanted, [*VERBS, *SUBJECTS], 1)
    lists = f"neopro {words[0]}" if words[0] in SUBJECTS else "neopro"
    hint = f"did you mean neopro {near[0]}?" if near else f"see: {lists} --help"
    raise CommandFailed(f"cannot run neopro {wanted}: there is no such verb; {hint}")


def _environment() -> str:
    from cli.topics import environment

    return environment()


def _complete(words: list[str]) -> int:
    """For the shells' scripts."""
    from cli.completion import complete

    return _print("\n".join(complete(words).lines()))


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((100, 24)).columns


def _version() -> str:
    from importlib.metadata import version

    return version("neopro-fleet")


def _print(text: str) -> int:
    print(text)
    return 0


def _complain(sentence: str, status: int) -> int:
    print(f"neopro: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
