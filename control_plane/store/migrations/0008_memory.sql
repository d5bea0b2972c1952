-- What is remembered of boxes: figures that thin with age, conditions since when and for how long, silences, lives.
-- Partitions are made and dropped by control_plane/store/partitions.py.

set local time zone 'UTC';

alter table reports
    add column told     text not null default '',     -- the conditions in one word, to see that nothing changed
    add column runs     jsonb not null default '{}',  -- earlier runs of the agent: control_plane/core/runs.py
    add column first_at timestamptz not null default now();

alter table generations add column reached_at timestamptz;   -- when its box said so; null: not yet, or it went past it

create table boots (                      -- lives of the machines, and what of each was taken
    site          text not null,
    boot          text not null,                      -- the kernel's boot_id
    started_at    timestamptz not null,
    certain       boolean not null,                   -- false: the earliest that it can have been
    first_at      timestamptz not null,               -- received
    last_at       timestamptz not null,
    sampled_s     double precision not null,          -- samples up to this uptime were taken; -1: none
    turned_s      double precision not null,          -- transitions, likewise
    primary key (site, boot)
);
create index boots_last_at on boots (last_at);

create table metrics_minutes (            -- as measured; a day each, for two days
    site          text not null,
    at            timestamptz not null,               -- when the time that it stands for began
    span_s        integer not null,                   -- seconds that were measured
    late_s        integer not null,                   -- of these, told when they were long past
    unsure        boolean not null,                   -- the box had no clock: `at` is the earliest
    cpu           real,                               -- percent, mean
    memory        real,                               -- percent, mean
    temperature   real,                               -- degrees Celsius, highest
    disk          real,                               -- percent used, highest
    signal        smallint,                           -- dBm, lowest
    restarts      integer,                            -- of its services since the machine was started, highest
    weak_power    boolean,                            -- under-voltage; null: no Pi
    slowed        boolean                             -- capped, throttled or too warm
) partition by range (at);
create index metrics_minutes_site on metrics_minutes (site, at);

create table metrics_hours (              -- a row an hour; a week each, for 90 days
    like metrics_minutes,
    primary key (site, at)
) partition by range (at);

create table metrics_days (               -- a row a day; a year each, for as long as is set
    like metrics_minutes,
    primary key (site, at)
) partition by range (at);

create function weighed(a real, a_s integer, b real, b_s integer) returns real language sql immutable as
$$ select case when a is null then b when b is null then a else (a * a_s + b * b_s) / (a_s + b_s) end $$;

create table condition_spans (            -- each condition from when it came to a status and reason until it left them
    site          text not null,
    type          text not null,
    status        text not null,
    reason        text not null,
    message       text not null,                      -- as it was first told
    since         timestamptz not null,
    until         timestamptz,                        -- null: it is so
    certain       boolean not null,                   -- false: the box had no clock, `since` is the earliest
    late          boolean not null,                   -- told when it was long past
    primary key (site, type, since)
);
create unique index condition_spans_open on condition_spans (site, type) where until is null;
create index condition_spans_until on condition_spans (until) where until is not null;

create table silences (                   -- when nothing was heard of a box for longer than reports are apart
    site          text not null,
    since         timestamptz not null,
    until         timestamptz not null,
    primary key (site, since)
);
create index silences_until on silences (until);

create table identity_forks (             -- two machines that speak as one site
    site          text primary key,
    since         timestamptz not null,
    last_at       timestamptz not null,
    runs          text[] not null                     -- ids of the agents' runs that come in turn
);

create index events_received on events (received_at);

alter table playbacks rename to playbacks_unsorted;
alter index playbacks_pkey rename to playbacks_unsorted_pkey;
create table playbacks (                  -- a month each, by the box's clock, for as long as is set
    like playbacks_unsorted including comments,
    primary key (site, kind, played_at, video_filename, session_id, duration_s)
) partition by range (played_at);
alter table playbacks add check (kind in ('event', 'impression'));
create table playbacks_other partition of playbacks default;   -- what a wrong clock dated, and what is very late
create index playbacks_other_received on playbacks_other (received_at);
do $$
declare month timestamptz;
begin
    for month in
        select distinct date_trunc('month', played_at) from playbacks_unsorted
        where played_at between now() - interval '10 years' and now() + interval '31 days'
    loop
        execute format(
            'create table %I partition of playbacks for values from (%L) to (%L)',
            'playbacks_' || to_char(month, 'YYYYMMDD'), month, month + interval '1 month'
        );
    end loop;
end $$;
insert into playbacks select * from playbacks_unsorted;
drop table playbacks_unsorted;
