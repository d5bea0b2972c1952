-- What watching the server itself needs: when the Git remote was last well, and whose reports are refused.

alter table remote add column succeeded_at timestamptz;   -- null: no look went well yet
update remote set succeeded_at = looked_at where error = '';

create table refused_reports (            -- boxes whose reports were refused, by the token that they signed
    site          text primary key,
    since         timestamptz not null,               -- since the last report that was taken
    last_at       timestamptz not null,               -- refused now: no report was taken since
    count         bigint not null,
    reason        text not null                       -- of the last one
);
