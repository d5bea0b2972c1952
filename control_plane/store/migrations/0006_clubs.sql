-- What each club owns, as its box last told it: the newest state alone. The club's words, shown and never obeyed.

create table clubs (
    site         text primary key,
    received_at  timestamptz not null,   -- when it was last told, also when nothing had changed
    body         jsonb not null          -- a ClubMirror, as far as it is one
);
