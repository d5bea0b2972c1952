-- How operations ended, found among all events (control_plane/store/operation_logs.py).

create index events_operations on events (received_at)
    where reason in ('OperationSucceeded', 'OperationFailed', 'OperationExpired');
