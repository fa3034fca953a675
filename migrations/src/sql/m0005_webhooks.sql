-- Portable between SQLite and PostgreSQL. Secrets are derived from a key outside of the database.
CREATE TABLE webhooks (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    events TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
    status_reason TEXT,
    secret_generation INTEGER NOT NULL CHECK (secret_generation > 0),
    previous_secret_until BIGINT,
    paused_until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_owner ON webhooks (owner_id, id);

CREATE TABLE webhook_events (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_events_owner ON webhook_events (owner_id);
CREATE INDEX webhook_events_age ON webhook_events (created_at);

CREATE TABLE webhook_deliveries (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    webhook_id UUID NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id UUID NOT NULL REFERENCES webhook_events (id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    next_attempt_at BIGINT,
    claimed_until BIGINT,
    token BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((status = 'pending') = (completed_at IS NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);

CREATE TABLE webhook_attempts (
    delivery_id UUID NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number > 0),
    at BIGINT NOT NULL,
    milliseconds INTEGER NOT NULL,
    response_status INTEGER,
    error TEXT,
    PRIMARY KEY (delivery_id, number)
);
