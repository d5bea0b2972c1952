-- The documents of the published commit but its sites, for pages (control_plane/store/library.py).

create table library (
    folder        text not null,                      -- groups, videos, video-sets, …; '': at the root
    id            text not null,
    blob          text not null,                      -- the Git object id of the document's bytes
    body          jsonb not null,                     -- the document as its kind
    primary key (folder, id)
);
