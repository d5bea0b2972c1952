-- Which releases failed where, found among all events (control_plane/store/reports.py).

create index events_release_failures on events (received_at) where reason = 'ReleaseFailed';
