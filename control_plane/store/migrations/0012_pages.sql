-- What pages tell of the last hours, of control planes, of releases that ran and of who signed a commit.

create table activity (                   -- a row an hour and tenant: what boxes sent and fetched
    at             timestamptz not null,              -- when the hour began
    tenant         text not null,                     -- of the sites; '': of none
    reports        bigint not null,
    downloads      bigint not null,
    download_bytes bigint not null,
    primary key (at, tenant)
);

create table control_planes (             -- processes of ours that serve, or did within the last days
    id            text primary key,                   -- random, made anew each time one starts
    host          text not null,
    version       text not null,
    started_at    timestamptz not null,
    seen_at       timestamptz not null
);

create table release_runs (               -- which release a box said that it runs
    site          text not null,
    version       text not null,
    tree          text,                               -- digest of its listing; null: installed by hand
    since         timestamptz not null,               -- when the first report that said so came
    until         timestamptz,                        -- when one came that said otherwise; null: it runs
    primary key (site, since)
);
create unique index release_runs_open on release_runs (site) where until is null;

alter table reports add column running text not null default '';   -- version and tree, to see that nothing changed
alter table commits add column signature jsonb;       -- who signed it; null: it was looked at by an older server
create index commits_published_at on commits (published_at);
create index alerts_cleared_at on alerts (cleared_at) where cleared_at is not null;
