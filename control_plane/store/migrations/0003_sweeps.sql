-- Sweeps of the object store: how they agree with publications and uploads (control_plane/store/sweeps.py).

create table sweep_serial (               -- one row: how often blobs were condemned
    only_row      boolean primary key default true check (only_row),
    serial        bigint not null
);

create table condemned (                  -- blobs that a sweep is about to delete; empty between sweeps
    digest        text primary key
);

create table asked_blobs (                -- blobs that an upload found in the object store, and counts on
    digest        text primary key,
    asked_at      timestamptz not null
);
create index asked_blobs_asked_at on asked_blobs (asked_at);
