-- Rollouts: a new release or agent on its way through the sites of a policy.

create table rollouts (
    number bigint primary key,
    kind text not null check (kind in ('release', 'agent')),
    version text not null,
    policy text not null,
    revision text not null,                     -- the commit that began it
    started_at timestamptz not null,
    phase text not null check (phase in ('rolling', 'halted', 'rolled_back', 'done', 'superseded')),
    wave integer not null,                      -- from 0
    wave_at timestamptz not null,
    sound_since timestamptz,                    -- since when the wave does well enough for the next one
    ended_at timestamptz,
    cause jsonb                                 -- of a halt or an end
);

create unique index rollouts_open on rollouts (kind, version, policy) where ended_at is null;

create table rollout_sites (
    rollout bigint not null references rollouts on delete cascade,
    site text not null,
    position integer not null,
    before text,                                -- what it was served when it joined; null: no box may run that any more
    wave integer,                               -- null: it waits
    let_in_at timestamptz,
    outcome text not null check (outcome in ('pending', 'well', 'failed')),
    why text not null,
    excused boolean not null,
    primary key (rollout, site)
);

create index rollout_sites_site on rollout_sites (site);

-- What a site was last told to run: of the agent only its manifest says it until now.
alter table sites add column agent text;

update sites s set agent = convert_from(m.body, 'UTF8')::jsonb -> 'agent' ->> 'version'
    from manifests m where m.digest = s.manifest;
