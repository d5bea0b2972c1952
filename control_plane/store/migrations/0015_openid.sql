-- Accounts that an OpenID provider knows, and logins that were begun there.

create table identities (
    issuer            text not null,
    subject           text not null,                      -- who they are at that provider; names may change, this may not
    account           bigint not null unique references users on delete cascade,
    primary key (issuer, subject)
);

create table openid_logins (              -- begun at a provider, and not come back yet
    state             bytea primary key,                  -- SHA-256 of what the provider sends back
    browser           bytea not null,                     -- SHA-256 of the cookie of the browser that began it
    nonce             text not null,                      -- what the ID token must repeat
    verifier          text not null,                      -- of PKCE
    next              text not null,                      -- the path of ours that was asked for
    began_at          timestamptz not null
);
create index openid_logins_began on openid_logins (began_at);
