-- What worries somebody, now and before (control_plane/store/alerts.py), and what people are told of it.

create table alerts (
    id            bigint generated always as identity primary key,
    kind          text not null,
    subject       text not null,                      -- a site, or what of the fleet
    severity      text not null check (severity in ('info', 'warning', 'critical')),
    silenced      boolean not null,
    fired_at      timestamptz not null,
    cleared_at    timestamptz,                        -- null: it is so now
    body          jsonb not null                      -- the Alert
);
create unique index alerts_open on alerts (kind, subject) where cleared_at is null;
create index alerts_fired_at on alerts (fired_at);

create table notices (                    -- what is to be told to people, until it was or was given up
    id            bigint generated always as identity primary key,
    alert         bigint not null references alerts on delete cascade,
    what          text not null check (what in ('fired', 'worse', 'cleared')),
    made_at       timestamptz not null,
    sent_at       timestamptz,
    attempts      integer not null default 0,
    next_at       timestamptz not null,               -- not before
    error         text not null default ''            -- of the last attempt
);
create index notices_due on notices (next_at) where sent_at is null;

alter table library add column seen_at timestamptz not null default now();  -- when the document came
create index generations_published_at on generations (published_at);                   -- which sites are new
