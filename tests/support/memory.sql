-- A fleet's memory, made by PostgreSQL itself (tests/support/memory_generator.py says what it holds).
-- Rows lie as they come in life: a report's minutes together, and the hours of a site and a day.
-- Parameters: sites, days, commits, minutes_of, now, today (its midnight).

create temp table clubs_made on commit drop as
select n, 'club-' || lpad(n::text, 5, '0') as site, n %% 10 = 0 as rare from generate_series(1, %(sites)s) n;

create temp table commits_made on commit drop as
select c, lpad(to_hex(c), 40, '0') as revision, %(now)s - %(days)s * interval '1 day' * (%(commits)s + 1 - c) / %(commits)s as at
from generate_series(1, %(commits)s) c;

insert into commits (revision, author, subject, committed_at, seen_at, verdict, published_at, sites)
select revision, 'Ada <ada@example.org>', 'Change ' || c, at, at, 'published', at, %(sites)s from commits_made;

insert into manifests (digest, body) values ('sha256:' || repeat('0', 64), '{}');

insert into sites (site, generation, manifest, state, revision, envelope, issued_at, expires_at, name, facts, root_version,
    release_list, serial)
select site, %(commits)s, 'sha256:' || repeat('0', 64), 'active', revision, '{}', %(now)s, %(now)s + interval '7 days',
    'Club ' || n,
    jsonb_build_object(
        'club', 'Club ' || n, 'city', 'Town ' || n %% 700, 'region', 'Region ' || n %% 13, 'country', 'FR',
        'sports', jsonb_build_array((array['basketball', 'football', 'handball', 'rugby', 'volleyball'])[1 + n %% 5]),
        'groups', jsonb_build_array('group-' || n %% 20, 'everyone'), 'video_sets', jsonb_build_array('national'),
        'timezone', 'Europe/Paris', 'at', jsonb_build_array(42.5 + n * 7 %% 850 / 100.0, -4.5 + n * 13 %% 1250 / 100.0)
    ) || case when rare then '{"connectivity": "matchdays"}'::jsonb else '{}' end, 1, '', 1
from clubs_made, commits_made where c = %(commits)s;

insert into generations (site, generation, revision, manifest, published_at, reached_at)
select site, c, revision, 'sha256:' || repeat('0', 64), at,
    case when not rare then at + n %% 100 * interval '1 second' end
from clubs_made, commits_made;

insert into reports (site, run_id, sequence, received_at, generation, head_generation, body, told, first_at)
select site, repeat('a', 32), 1, heard_at, %(commits)s, %(commits)s,
    jsonb_build_object(
        'run_id', repeat('a', 32), 'sequence', 1, 'at', heard_at, 'agent_version', '1.0.0',
        'generation', %(commits)s, 'head_generation', %(commits)s,
        'conditions', jsonb_build_array(jsonb_build_object(
            'type', 'Synced', 'status', 'True', 'reason', 'Converged', 'message', 'The box is as desired.', 'since', heard_at
        )),
        'metrics', jsonb_build_object(
            'cpu_percent', n %% 100, 'memory_percent', n %% 100, 'temperature_celsius', 40 + n %% 40,
            'disk_total_bytes', 32000000000, 'disk_free_bytes', 320000000::bigint * (100 - n %% 97)
        )
    ),
    'Synced=True:Converged', %(today)s - %(days)s * interval '1 day'
from clubs_made, lateral (select case when rare then date_trunc('week', %(now)s) - interval '1 day' else %(now)s end as heard_at) h;

insert into metrics_hours
select site, at, 3600, case when rare then 3600 else 0 end, false, (n + extract(hour from at)::int) %% 100, n %% 100,
    40 + n %% 40, n %% 97, (-50 - n %% 30)::smallint, n %% 3, n %% 50 = 0, false
from generate_series(%(today)s - least(%(days)s, 90) * interval '1 day', %(today)s - interval '25 hours', interval '1 hour') at,
    clubs_made
order by at::date, site, at;

insert into metrics_days
select site, at, 86400, case when rare then 86400 else 0 end, false, n %% 100, n %% 100, 40 + n %% 40, n %% 97,
    (-50 - n %% 30)::smallint, n %% 3, n %% 50 = 0, false
from generate_series(%(today)s - %(days)s * interval '1 day', %(today)s - interval '2 days', interval '1 day') at, clubs_made;

insert into metrics_minutes
select site, at, 60, case when rare then 60 else 0 end, false, extract(minute from at), n %% 100, 40 + n %% 40, n %% 97,
    (-50 - n %% 30)::smallint, n %% 3, n %% 50 = 0, false
from generate_series(%(today)s - interval '1 day', %(now)s - interval '1 minute', interval '1 minute') at, clubs_made
where n <= %(minutes_of)s
order by date_bin(interval '5 minutes', at, %(today)s), site, at;

insert into condition_spans (site, type, status, reason, message, since, until, certain, late)
select site, kind, case when d %% 2 = 0 then 'True' else 'False' end,
    case when d %% 2 = 0 then 'Converged' else 'Converging' end, '', at,
    lead(at) over (partition by n, kind order by at), true, false
from clubs_made, unnest(array['Synced', 'Progressing']) kind, generate_series(0, %(days)s / 3) d,
    lateral (select %(today)s - d * interval '3 days' as at) s;

insert into silences
select site, saturday + interval '1 day', saturday + interval '7 days'
from clubs_made,
    generate_series(
        date_trunc('week', %(today)s - %(days)s * interval '1 day') + interval '5 days',
        date_trunc('week', %(now)s) - interval '9 days', interval '7 days'
    ) saturday
where rare;

insert into events (site, number, at, received_at, severity, reason, message)
select site, d + 1, at, at, case when d %% 5 = 0 then 'error' else 'info' end,
    case when d %% 5 = 0 then 'DiskFull' else 'Converged' end, ''
from clubs_made, generate_series(0, %(days)s) d, lateral (select %(today)s - d * interval '1 day' as at) s;
