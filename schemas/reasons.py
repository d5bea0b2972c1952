"""What every reason of a condition, an event or a wait means, and what a person does about it.

`docs/conditions.md` is made of it, `neopro explain REASON` prints it, and `neopro-agent status` says it to the
technician who stands before the box. The page's own short words, in two languages, are in `control_plane.web`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.status import ConditionType, Reason


class Meaning(NamedTuple):
    """`person`: it stays until somebody does what `remedy` says; otherwise it passes, or is no trouble."""

    means: str
    remedy: str
    person: bool = False


M = Meaning
CONDITIONS: Final[Mapping[ConditionType, str]] = {
    "Synced": "Everything that the newest accepted manifest asks for is on the box, and nothing waits.",
    "Progressing": "Something is being done right now.",
    "Degraded": "Something failed that the agent cannot put right by trying the same again; the box goes on playing.",
    "Connected": "The control plane answered, with something that can be trusted, and the newest head has not expired.",
    "ReleaseHealthy": "The active release passed its checks: what its services answer, and that they do not restart.",
}

AT_REST: Final[Mapping[Reason, Meaning]] = {
    "Converged": M("The box is as desired.", "Nothing."),
    "Converging": M("The agent is at work, or the box is not as desired yet.", "Nothing; `Progressing` says at what."),
    "AtRest": M("Nothing is under way.", "Nothing."),
    "AsExpected": M("No failure is known.", "Nothing."),
    "Polling": M("The control plane answered the last poll.", "Nothing."),
    "Healthy": M("The active release passes its checks.", "Nothing."),
    "Testing": M("A release was activated and is watched until it has been healthy for `settle`.", "Nothing."),
    "HeadAccepted": M("News was verified and accepted.", "Nothing."),
    "FirstStart": M("The agent runs on this box for the first time.", "Nothing."),
    "NoRelease": M(
        "No release of ours is active: the box runs what was installed by hand, or nothing.",
        "Set `release` for the site when the fleet shall care for it.",
    ),
    "NoManifest": M(
        "Nothing was ever received: the box is new, or has not reached the control plane since.",
        "Check the network of the box, and that its `identity` is in the site's file on the published branch.",
        person=True,
    ),
    "Suspended": M("The site is `suspended` in Git: the box leaves everything as it is, playing.", "Nothing."),
    "Retired": M("The site is `retired` or gone from Git: the box leaves everything as it is, playing.", "Nothing."),
    "Superseded": M("Newer news came while a long step was running; the rest follows in the next round.", "Nothing."),
}

NETWORK: Final[Mapping[Reason, Meaning]] = {
    "NetworkTrouble": M(
        "The control plane cannot be reached, or something else answered in its place: no route, a captive portal, a "
        "proxy's error page, a wrong certificate, a server that is overloaded. The message names which.",
        "Mostly nothing: the box goes on with what it has, and tries again with growing pauses. If it lasts, look at "
        "the club's network, then at the clock (certificates) and at the control plane's address in site.conf.",
    ),
    "AccessDenied": M(
        "The control plane knows the box's request and refuses it: its identity is not (or no longer) in Git, is "
        "revoked, or the site is retired.",
        "Compare `neopro-agent identity` with the site's `identity` in Git; for a replaced card use "
        "`neopro site replace`.",
        person=True,
    ),
    "AwaitingAcceptance": M(
        "The box is new and was never served: its key is not in its site's file yet, or the commit that names it is "
        "not published.",
        "`neopro enrol accept SITE` (or the `identity` that `neopro-agent identity` prints, by hand), and push. The "
        "box asks by itself.",
        person=True,
    ),
    "UploadRefused": M(
        "The control plane will never take what the box hands over, such as it is: it is too large or not what the "
        "protocol says.",
        "It is kept aside or dropped, with an event that says what. Update the older of agent and control plane.",
        person=True,
    ),
    "TrustRefused": M(
        "A signed document did not verify, or would have taken the box back to something older. Nothing was changed. "
        "This is an alarm: a network that is merely broken never causes it.",
        "Read the message: a generation that fell after a restored database, a key that rotated without the root, "
        "or an attack. See `docs/security.md`.",
        person=True,
    ),
    "DigestMismatch": M(
        "Bytes that arrived, or lie on the disk, are not what their digest says. They are not used.",
        "Nothing the first time: they are fetched anew. If it stays, the stored blob is damaged "
        "(`neopro doctor`), or the box's disk is.",
    ),
    "HeadExpired": M(
        "The newest accepted head is older than its validity: the box has heard no news for a week or more.",
        "Nothing, if the club is known to be offline. Otherwise look at the box's network and at the control plane.",
    ),
}

DISK: Final[Mapping[Reason, Meaning]] = {
    "DiskFull": M(
        "What is wanted does not fit with a tenth of the disk left free. Nothing was begun.",
        "Take content from the site, let the club delete videos of its own, or give the box a larger card.",
        person=True,
    ),
    "DiskFault": M(
        "The file system failed a write, a read or an fsync, or has become read-only: cards die like that.",
        "Replace the card (`docs/jobs/replaced-card.md`) when it comes again after a reboot.",
        person=True,
    ),
    "StateDamaged": M(
        "One copy of the agent's state could not be read; the other was used.", "Nothing the first time."
    ),
    "StateLost": M(
        "Both copies of the agent's state could not be read: it began again from its provisioned trust root and looked "
        "at what is there.",
        "Watch the card: two copies do not break by themselves.",
        person=True,
    ),
    "AlreadyRunning": M("Another agent holds the lock on this box; this one did not start.", "Use the one that runs."),
    "SettingsInvalid": M(
        "site.conf, the key or the trust root is missing or cannot be used; the agent does not run, nothing changed.",
        "Do what the sentence says; `neopro-agent doctor` checks all of them.",
        person=True,
    ),
    "InternalError": M(
        "A bug in the agent ended a round. It goes on with the next one, with growing pauses.",
        "Fetch the logs (`neopro op logs`) and report it.",
        person=True,
    ),
}

RELEASES: Final[Mapping[Reason, Meaning]] = {
    "ReleaseAdopted": M(
        "What was installed by hand became a release of its own under `releases/`, before another was activated: there "
        "is a way back.",
        "Nothing.",
    ),
    "ReleaseActivated": M("A release was made the active one; its test begins.", "Nothing."),
    "ReleaseHealthy": M("A release passed its test and is committed.", "Nothing."),
    "ReleaseRecovered": M("A release that was held, for want of a way back, is healthy after all.", "Nothing."),
    "ReleaseUnhealthy": M(
        "A release does not pass its checks. One that was just activated is taken back; one that ran for long is "
        "reported.",
        "Look at the services' logs (`neopro op logs`). A reboot or `neopro op restart` may help an old release; a new "
        "one needs a new version.",
        person=True,
    ),
    "ReleaseFailed": M(
        "A release failed here, and the box goes back to the last good one. This digest is not tried again here.",
        "Mend the release and publish another, or take it out of Git; `neopro op retry` if the cause lay elsewhere.",
        person=True,
    ),
    "RolledBack": M("The box went back to its last good release, verified before.", "As for `ReleaseFailed`."),
    "ReleaseHeld": M(
        "A release failed and there is no way back, or the way back failed too: what plays is left alone. The agent "
        "goes on polling, reporting and watching.",
        "Publish a release that works on this box, or `neopro op retry`; see `docs/jobs/stuck-box.md`.",
        person=True,
    ),
    "Interrupted": M(
        "The power or the agent went while a release was on trial; that counts as one of three attempts.",
        "Nothing: it is tried again, or taken back after the third time.",
    ),
    "ReleaseNotAdopted": M(
        "The box was installed by hand, and what is there cannot be made a release: its admin page would lose its root "
        "(`NEOPRO_DIR`), a link of somebody else stands where files belong, or somebody is writing there.",
        "Do on the box what the message says; the release goes on by itself. The box plays on meanwhile.",
        person=True,
    ),
    "RequirementNotMet": M(
        "The wanted release may only follow a newer one than runs here (`requires: {from: …}`).",
        "Let the site take the release in between first.",
        person=True,
    ),
    "PatchUnusable": M(
        "A patch did not give what it should, mostly since an old file was changed on the box; whole files are taken.",
        "Nothing.",
    ),
    "ServiceFailed": M(
        "The service manager could not do what was asked, or a service does not start.",
        "Look at the unit on the box: `systemctl status UNIT`, `neopro op logs`.",
        person=True,
    ),
    "ServiceStarted": M(
        "A service of the box was found stopped, and was started.", "Nothing; often: look at its logs."
    ),
    "PermissionsRestored": M(
        "Files or folders had modes or an owner that keep the box's own services from reading them (nginx would answer "
        "403 and the screen would stay black).",
        "Nothing: it was put right at once. If it comes back, find out what on the box sets them.",
    ),
    "LocalOverride": M(
        "Files of the active release were changed on the box, as an update by its admin page does.",
        "Nothing: it is put right in the next window. If the club needs the change, release it.",
    ),
}

AGENT: Final[Mapping[Reason, Meaning]] = {
    "AgentUpdating": M("Another release of the agent is on the box, whole and allowed, and takes over.", "Nothing."),
    "AgentOnTrial": M(
        "A new agent runs and has not polled and reported yet, mostly since there is no network. It may take for ever.",
        "Nothing.",
    ),
    "AgentUpdated": M("The new agent has polled and reported: it is the good one from now on.", "Nothing."),
    "AgentReturned": M(
        "A new agent crashed, or did not report though the control plane answered; the one before runs again.",
        "As for `AgentFailed`.",
    ),
    "AgentFailed": M(
        "The wanted release of the agent failed on this box. It is not tried again; all else goes on.",
        "Read `neopro op logs`, mend the release and publish another, or take it out of Git; `neopro op retry` if the "
        "cause lay elsewhere.",
        person=True,
    ),
    "AgentNotInSlot": M(
        "The agent of this box was not installed from its bundle, and cannot update itself.",
        "Install it on the box from a bundle (`make agent-bundle`); see `docs/box.md`.",
        person=True,
    ),
}

CONTENT: Final[Mapping[Reason, Meaning]] = {
    "ContentNotOurs": M(
        "A file that the fleet did not put there stands where one of its videos belongs. It is the club's and stays.",
        "Give the video another name in Git, or ask the club to rename its own.",
        person=True,
    ),
    "ConfigurationUnreadable": M(
        "configuration.json has not parsed for a while: a writer was cut off. Its last good copy comes back.",
        "Nothing, unless it comes again and again: then a program on the box writes it wrongly.",
    ),
    "ConfigurationCompleted": M(
        "configuration.json is of a variant that lacks lists or keys which every application needs; they were added.",
        "Nothing: its own keys stay.",
    ),
    "ConfigurationRestored": M(
        "configuration.json was missing or broken for a minute, and its last good copy came back. What stood there is "
        "in `data/agent/configuration.broken.json` on the box.",
        "Look at what the club sees. Where there was no good copy, put the club's backup back: `neopro site replace`.",
    ),
    "ClubCategoryRenamed": M(
        "A club category has the id of a central one: the club's was kept as `<id>_club`.",
        "Tell the club, or choose another id in Git.",
    ),
    "ScreenNotTold": M(
        "The configuration is written, but the application did not confirm that it told the screen, or no page was "
        "connected to hear it.",
        "Nothing: it is told again, and after two minutes without a page the kiosk is restarted in a quiet window. If "
        "it stays, restart the application (`neopro op restart`).",
    ),
    "ScreenRestarted": M("No page heard of a new configuration, so the kiosk was started anew.", "Nothing."),
    "BackupPutBack": M("The club's configuration was put back from its backup.", "Nothing."),
    "HotspotOpened": M("The box's own Wi-Fi was opened as the manifest wants it.", "Nothing."),
    "HotspotNotOpened": M(
        "The box's own Wi-Fi cannot be opened, or would cost the box its way to the network; what was there before is "
        "there again.",
        "The message says why: no NetworkManager, no free Wi-Fi device, a passphrase for another box or of a wrong "
        "length. What was tried is tried again after a day, or when the passphrase is encrypted anew.",
        person=True,
    ),
    "VideosKept": M("All of the club's videos are kept at the control plane, encrypted.", "Nothing."),
    "VideosPutBack": M("The club's videos of the box before this one were put back.", "Nothing."),
    "VideosNotKept": M(
        "The control plane does not take the club's videos: there are too many of them, or it is of an older version.",
        "The message says which. `backup: {videos: false}` for the site, or fewer videos on the box.",
        person=True,
    ),
    "BackupUnreadable": M(
        "The backup that is to be put back cannot be read here, or none can be made.",
        "Make it anew for this box: `neopro site replace`.",
        person=True,
    ),
    "AnalyticsDropped": M(
        "The box was offline for so long that counts of what was played had to go: the oldest and the newest stay.",
        "Nothing can bring them back; connect the box now and then.",
    ),
    "AnalyticsUnreadable": M(
        "Counts of what was played could not be read and lie in `data/agent/quarantine/`.",
        "Nothing, unless it goes on: then the application writes them wrongly.",
    ),
}

WAITS: Final[Mapping[Reason, Meaning]] = {
    "MatchInProgress": M("A match is on the screen; nothing that disturbs it is done.", "Nothing."),
    "FixtureInProgress": M("By the calendar a fixture is on.", "Nothing."),
    "OutsideWindow": M(
        "The step disturbs, and no maintenance window is open.",
        "Nothing; `until` says when. Boxes that have power only on match days want `at_boot`, or `max_deferral`.",
    ),
    "ClockNotReliable": M(
        "Hours are set, and the box does not know the hour or its time zone.",
        "Give the box a time server; until then `at_boot`, `idle` and `max_deferral` open its windows.",
    ),
    "SwitchedOff": M(
        "The site's own site.conf says no to this (`[features]`).",
        "Nothing, if the club meant it; otherwise change site.conf on the box.",
        person=True,
    ),
    "Sending": M("One text at a time is handed over to the control plane; another goes first.", "Nothing."),
}

OPERATIONS: Final[Mapping[Reason, Meaning]] = {
    "OperationSucceeded": M("An operation was done.", "Nothing."),
    "OperationFailed": M(
        "An operation failed, or was cut off after it had begun. It is not tried again.",
        "Read why in the event; ask anew with another operation.",
        person=True,
    ),
    "OperationExpired": M("An operation had not begun when its time was over.", "Ask anew, if it is still wanted."),
}

SERVER: Final[Mapping[Reason, Meaning]] = {
    "Synced": M("The last report says that the box is as desired, and it is fresh.", "Nothing."),
    "Silent": M("The box has sent no report for some time.", "Look at its power and its network."),
    "Away": M(
        "The box has sent no report for some time, and its `connectivity` says that it is not always online.",
        "Nothing.",
    ),
    "NeverReported": M(
        "The site is published, and no box has ever reported for it.",
        "Install the agent there; check the `identity` in the site's file.",
        person=True,
    ),
    "NoIdentity": M(
        "The site's file names no box yet.", "Enrol the box, or put its `identity` into the file.", person=True
    ),
    "IdentityRevoked": M(
        "The identity of the site's box is in revoked.yaml: nobody may speak for the site.",
        "Give the site a new box: `neopro site replace`.",
        person=True,
    ),
    "ReportFromFuture": M(
        "The last report is dated ahead of the server's clock.",
        "Check the server's clock, then the box's.",
        person=True,
    ),
    "AheadOfUs": M(
        "The box follows a newer generation than this server knows: the database was taken back.",
        "Publish from Git again; see `docs/operating.md`.",
        person=True,
    ),
    "NewsNotTaken": M(
        "The box reports, but has not accepted the newest generation.",
        "Look at its conditions: `Connected` and `TrustRefused` say why.",
        person=True,
    ),
    "NewsOnItsWay": M("The newest generation was published a moment ago.", "Nothing."),
    "NotConfirmed": M("The box has not confirmed that it is as desired.", "Nothing for some minutes."),
    "Gone": M("The site is no longer in Git, and its box was told.", "Nothing."),
    "GoneUntold": M("The site is no longer in Git; its box has not asked since.", "Nothing."),
    "RetiredUntold": M("The site is retired; its box has not asked since.", "Nothing."),
    "SuspendedUntold": M("The site is suspended; its box has not asked since.", "Nothing."),
}

CHAPTERS: Final[Mapping[str, Mapping[Reason, Meaning]]] = {
    "Nothing is wrong": AT_REST,
    "Network and trust": NETWORK,
    "Disk, state and settings": DISK,
    "Releases and services": RELEASES,
    "The agent itself": AGENT,
    "Content, configuration and what the club owns": CONTENT,
    "What waits": WAITS,
    "Operations": OPERATIONS,
    "What the control plane says of a site": SERVER,
}
"""The reasons as a page tells them."""

REASONS: Final[Mapping[Reason, Meaning]] = {
    reason: meaning for chapter in CHAPTERS.values() for reason, meaning in chapter.items()
}
"""Reason -> what it means."""
