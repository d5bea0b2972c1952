-- The clubs' videos as boxes leave them: age files in the object store, and the newest encrypted index of each site.

create table video_blobs (
    site         text not null,
    digest       text not null,
    size_bytes   bigint not null,
    received_at  timestamptz not null,
    primary key (site, digest)            -- a row: this site's box sent every byte, and may be given them back
);

create table video_backups (
    site         text primary key,
    received_at  timestamptz not null,
    index        bytea not null           -- an age file, for the team's recovery key
);
