-- What operators ask for: commits that are held by a guard, logs that an operation fetched, backups of clubs.

alter table commits drop constraint commits_verdict_check;
alter table commits add constraint commits_verdict_check check (verdict in ('published', 'refused', 'held'));
alter table commits add column impact jsonb;          -- what the plan counted when the commit was judged; null: no plan was made

create table operation_logs (             -- what a box uploaded for a fetch_logs or self_test operation
    site          text not null,
    operation     text not null,                      -- id of the document in operations/
    received_at   timestamptz not null,
    body          bytea not null,                     -- zstd of the text, secrets redacted on the box
    primary key (site, operation)
);

create table backups (                    -- the newest backup of each club's configuration
    site          text primary key,
    digest        text not null,                      -- of a blob in the object store, encrypted to the recovery key
    size_bytes    bigint not null,
    received_at   timestamptz not null
);
