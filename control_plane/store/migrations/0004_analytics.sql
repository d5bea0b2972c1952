-- What was played on the screens: events and sponsors' impressions, each once however often its box sends it.

create table playbacks (
    site            text not null,
    kind            text not null check (kind in ('event', 'impression')),
    played_at       timestamptz not null,             -- by the box's clock
    video_filename  text not null,
    session_id      text not null,                    -- '': the application gave none
    duration_s      double precision not null,        -- seconds that were played; 0: the application gave none
    received_at     timestamptz not null,
    video_id        text,                             -- of the fleet's videos; null: the club's own
    sponsor_id      text,
    body            jsonb not null,                   -- all of it, as it came
    primary key (site, kind, played_at, video_filename, session_id, duration_s)
);
