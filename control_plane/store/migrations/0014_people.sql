-- Accounts of people, their sessions in browsers, failed attempts to come in, and what was done by whom.

create table users (
    id                bigint generated always as identity primary key,
    name              text not null unique,               -- in lower case, as it is typed to log in
    role              text not null check (role in ('viewer', 'operator', 'admin')),
    tenant            text,                               -- of whose sites alone they know; null: of the team
    password          text,                               -- argon2id; null: none, a provider knows them
    password_ends_at  timestamptz,                        -- a one-time password, good until then; null: their own
    totp              text,                               -- base32; null: not set up
    totp_step         bigint,                             -- of the newest code that was used: each is good once
    created_at        timestamptz not null,
    disabled_at       timestamptz,
    last_login_at     timestamptz
);

create table sessions (                   -- of browsers; one that ended is no row any more
    id                bigint generated always as identity primary key,
    hash              bytea not null unique,              -- SHA-256 of the cookie
    account           bigint not null references users on delete cascade,
    began_at          timestamptz not null,               -- the login
    seen_at           timestamptz not null,               -- noted once a minute
    second_factor     boolean not null,
    by_provider       boolean not null,                   -- no password was asked for
    totp_offered      text,                               -- a secret that was shown, until a code proves that it was taken
    address           text not null,
    agent             text not null                       -- the browser, as it called itself
);
create index sessions_account on sessions (account);

create table attempts (                   -- failures to come in, for a quarter of an hour
    bucket            text not null,
    at                timestamptz not null
);
create index attempts_bucket on attempts (bucket, at);
create index attempts_at on attempts (at);

create table audit (
    id                bigint generated always as identity primary key,
    at                timestamptz not null,
    act               text not null,
    who               text not null,                      -- an account, a token, or who called a command on the server
    account           bigint references users on delete set null,
    about             text not null default '',           -- whom or what else it was done to
    address           text not null default ''
);
create index audit_at on audit (at);
create index audit_logins on audit (account, address, at) where act = 'login';

alter table tokens add column owner bigint references users;   -- null: nobody's, made on the server
