-- Instants are timestamptz; digests and revisions are their text forms; signed documents are kept as the exact bytes.

create table commits (                    -- every commit of the ref that was looked at
    revision      text primary key,
    author        text not null,
    subject       text not null,
    committed_at  timestamptz not null,
    seen_at       timestamptz not null default now(),
    verdict       text not null check (verdict in ('published', 'refused')),
    problems      jsonb not null default '[]',        -- rendered Problems, errors and warnings, sorted
    published_at  timestamptz,
    sites         integer not null default 0          -- how many sites this commit changed
);

create table publication (                -- one row: what is being served
    only_row      boolean primary key default true check (only_row),
    revision      text not null references commits,
    serial        bigint not null,                    -- rises whenever a site's row is written: what changed since?
    published_at  timestamptz not null
);

create table remote (                     -- one row: how the last look at the Git remote went
    only_row      boolean primary key default true check (only_row),
    looked_at     timestamptz not null,
    revision      text,
    error         text not null default '',           -- empty: it went well
    error_since   timestamptz
);

create table manifests (                  -- bodies by their digest; sites that want the same share one
    digest        text primary key,
    body          bytea not null,
    published_at  timestamptz not null default now()
);

create table sites (                      -- the newest word to each site
    site          text primary key,
    generation    bigint not null,
    manifest      text not null references manifests,
    state         text not null check (state in ('active', 'suspended', 'retired')),
    revision      text not null references commits,   -- the commit that last changed this site
    envelope      bytea not null,                     -- the signed head, as it is sent
    issued_at     timestamptz not null,
    expires_at    timestamptz not null,
    identity      text,                               -- the box's public key; null: nobody may speak for the site
    name          text not null,
    release       text,                               -- desired version of the applications
    facts         jsonb not null default '{}',        -- club, city, region, sports, groups: for the page
    gone          boolean not null default false,     -- no longer in Git: told once, then refused
    root_version  integer not null,                   -- of the trust root that the head names
    release_list  text not null,                      -- digest of the release list that the head names
    serial        bigint not null                     -- of the publication that last wrote this row
);
create index sites_issued on sites (issued_at);
create index sites_serial on sites (serial);

create table generations (                -- which commit gave which site which generation: 'n of m sites'
    site          text not null,
    generation    bigint not null,
    revision      text not null references commits,
    manifest      text not null,
    published_at  timestamptz not null,
    primary key (site, generation)
);
create index generations_revision on generations (revision);

create table trust_documents (            -- what boxes fetch to follow key rotations and releases
    kind          text not null check (kind in ('root', 'release-list')),
    version       integer not null,
    envelope      bytea not null,
    primary key (kind, version)
);

create table revoked_identities (         -- from revoked.yaml; effective even when the rest of a commit is refused
    identity      text primary key
);

create table reports (                    -- what each site last said of itself
    site            text primary key,
    run_id          text not null,
    sequence        bigint not null,
    received_at     timestamptz not null,
    generation      bigint,                           -- converged and committed on the box
    head_generation bigint,                           -- accepted by the box
    body            jsonb not null                    -- the StatusReport, without its events
);

create table events (                     -- what happened on the boxes
    site          text not null,
    number        bigint not null,
    at            timestamptz not null,               -- by the box's clock
    received_at   timestamptz not null default now(),
    severity      text not null,
    reason        text not null,
    message       text not null,
    primary key (site, number, at)
);

create table tokens (                     -- personal tokens of operators; only a hash is kept
    id            bigint generated always as identity primary key,
    name          text not null,
    hash          bytea not null unique,              -- SHA-256 of the token
    scopes        text[] not null,                    -- read, write
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
