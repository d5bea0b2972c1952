-- One-time tokens for new boxes, and the boxes that used them. A box is let in by Git alone: by its identity in a commit.

create table enrolments (
    id            bigint generated always as identity primary key,
    site          text not null,
    hash          bytea not null unique,              -- SHA-256 of the secret
    made_by       text not null,                      -- name of the operator's token
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    revoked_at    timestamptz,                        -- by hand, or because another one was made for the site
    asked_at      timestamptz,                        -- when a box used it; null: none did
    identity      text,
    recipient     text,
    hostname      text not null default '',
    model         text not null default '',
    agent_version text not null default ''
);
create unique index enrolments_live on enrolments (site) where revoked_at is null;
