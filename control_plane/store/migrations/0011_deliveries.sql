-- Each notice goes to each channel that it is for, at least once (control_plane/store/notices.py).

create table deliveries (
    notice        bigint not null references notices on delete cascade,
    channel       text not null,
    sent_at       timestamptz,
    attempts      integer not null default 0,
    next_at       timestamptz not null,               -- not before; while one is on its way: when it may be tried again
    error         text not null default '',           -- of the last attempt
    primary key (notice, channel)
);
create index deliveries_due on deliveries (channel, next_at) where sent_at is null;

drop index notices_due;
alter table notices
    drop column sent_at, drop column attempts, drop column next_at, drop column error,
    add column dealt boolean not null default false;  -- its deliveries were made
create index notices_undealt on notices (id) where not dealt;
