-- What boxes measured: warm evenings, a disk that fills slowly. Parameters: now, sites.
insert into metrics_hours
select site, at, 3600, 0, false, 14 + 12 * s.evening + n %% 7, 38 + 6 * s.evening + n %% 9, 47 + 9 * s.evening + n %% 6,
    34 + n %% 30 + extract(day from at) / 6, (-52 - n %% 20)::smallint, 0, false, false
from unnest(%(sites)s::text[]) with ordinality as clubs (site, n),
    generate_series(date_trunc('day', %(now)s::timestamptz) - interval '89 days',
        date_trunc('day', %(now)s::timestamptz) - interval '25 hours', interval '1 hour') at,
    lateral (select greatest(0, sin((extract(hour from at) - 12) * pi() / 12)) as evening) s
on conflict do nothing;

insert into metrics_days
select site, at, 86400, 0, false, 20 + n %% 7, 41 + n %% 9, 56 + n %% 6, 34 + n %% 30 + extract(day from at) / 6,
    (-52 - n %% 20)::smallint, 0, false, false
from unnest(%(sites)s::text[]) with ordinality as clubs (site, n),
    generate_series(date_trunc('day', %(now)s::timestamptz) - interval '89 days',
        date_trunc('day', %(now)s::timestamptz) - interval '2 days', interval '1 day') at
on conflict do nothing;

insert into metrics_minutes
select site, at, 300, 0, false, 14 + 12 * s.evening + extract(minute from at)::int %% 5, 38 + 6 * s.evening,
    47 + 9 * s.evening + n %% 6 + extract(minute from at)::int %% 3, 36 + n %% 30, (-52 - n %% 20)::smallint, 0, false, false
from unnest(%(sites)s::text[]) with ordinality as clubs (site, n),
    generate_series(date_trunc('day', %(now)s::timestamptz) - interval '1 day', %(now)s, interval '5 minutes') at,
    lateral (select greatest(0, sin((extract(hour from at) - 12) * pi() / 12)) as evening) s
on conflict do nothing;

update reports set first_at = %(now)s::timestamptz - interval '21 days'
