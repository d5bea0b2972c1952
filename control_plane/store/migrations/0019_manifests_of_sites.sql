-- Manifests that no site has any more are forgotten in their time (control_plane/store/generations.py).

create index sites_manifest on sites (manifest);
