"""Names of files and folders: what a fleet-state repository may hold."""

from typing import Final

from control_plane.core.problem_catalogue.entry import Entry, Sample

_SITE: Final = "name: Brest\nlocation: {city: Brest, region: Bretagne}\n"

NAMES: Final = (
    Entry(
        code="BadFileName",
        title="The name of the file cannot be an id",
        means="The stem of a file is the id of its document, and this one holds what an id may not.",
        why="Ids stand in addresses, in file names on the boxes and in other documents: they must read the same "
        "everywhere.",
        remedy="Use lower-case letters, digits and hyphens, at most 63, none of them a leading hyphen. Files of "
        "`releases/` and `agents/` are named after their version, MAJOR.MINOR.PATCH.yaml.",
        wrong=(Sample("sites/Brest_Handball.yaml", _SITE),),
        right=(Sample("sites/brest-handball.yaml", _SITE),),
    ),
    Entry(
        code="DuplicateId",
        title="Two files have the same id",
        means="Folders below `sites/`, `groups/` and the like only sort files; the stem alone is the id, and two "
        "files of one kind share it.",
        why="A reference to this id would mean two documents.",
        remedy="Rename one of the files, or delete it.",
        wrong=(Sample("sites/a/brest.yaml", _SITE), Sample("sites/b/brest.yaml", _SITE)),
        right=(Sample("sites/a/brest.yaml", _SITE), Sample("sites/b/brest-2.yaml", _SITE)),
    ),
    Entry(
        code="LinkNotAllowed",
        title="The repository holds a symbolic link",
        means="An entry of the commit is a link and not a file.",
        why="A link can lead out of the repository, and means different things on different machines.",
        remedy="Commit the file itself.",
        wrong=(Sample("sites/brest.yaml", "../elsewhere/brest.yaml", 0o120000),),
        right=(Sample("sites/brest.yaml", _SITE),),
    ),
    Entry(
        code="SameName",
        title="Two names differ only by case or Unicode form",
        means="Two paths of the commit are one on some file system.",
        why="On a Mac or on Windows a checkout would hold only one of the two, and committing it would delete "
        "the other.",
        remedy="Rename one of them.",
        wrong=(Sample("docs/Notes.md"), Sample("docs/notes.md")),
        right=(Sample("docs/notes.md"), Sample("docs/notes-2.md")),
    ),
    Entry(
        code="SubmoduleNotAllowed",
        title="The repository holds a submodule",
        means="An entry of the commit is another repository.",
        why="What it holds is not part of the commit: nobody could tell what boxes are to be.",
        remedy="Commit the files themselves.",
        wrong=(Sample("groups/shared", "", 0o160000),),
        right=(Sample("groups/shared/everywhere.yaml", "name: Everywhere\npriority: 1\nselect: {country: France}\n"),),
    ),
    Entry(
        code="UnknownFile",
        title="A file that is not read",
        means="At the top of the repository, and in `trust/`, only certain names are read; this is none of them.",
        why="A misspelt name would look like desired state and have no effect.",
        remedy="Correct the name; or move the file to `docs/`, which is never read, or delete it.",
        severities=("warning",),
        wrong=(Sample("notes.txt", "Call Brest on Monday.\n"),),
        right=(Sample("docs/notes.txt", "Call Brest on Monday.\n"),),
    ),
    Entry(
        code="UnknownFolder",
        title="A folder that is not read",
        means="The folder says the kind of the documents in it; this one is no kind.",
        why="A misspelt folder would look like desired state and have no effect.",
        remedy="Correct the name; or move the folder to `docs/`, which is never read, or delete it.",
        severities=("warning",),
        wrong=(Sample("clubs/brest.yaml", _SITE),),
        right=(Sample("sites/brest.yaml", _SITE),),
    ),
    Entry(
        code="WrongFileName",
        title="A file that would be read if it were named otherwise",
        means="The file stands where documents are and does not have their ending, mostly `.yml` for `.yaml`.",
        why="It looks like desired state and would have no effect.",
        remedy="Rename it as the message says, or move it to `docs/`.",
        wrong=(Sample("sites/brest.yml", _SITE),),
        right=(Sample("sites/brest.yaml", _SITE),),
    ),
    Entry(
        code="WrongFolderName",
        title="A folder that would be read if it were named otherwise",
        means="The name of the folder is that of a kind but for case or an underscore.",
        why="What is in it looks like desired state and would have no effect.",
        remedy="Rename the folder as the message says.",
        wrong=(Sample("Sites/brest.yaml", _SITE),),
        right=(Sample("sites/brest.yaml", _SITE),),
    ),
)
