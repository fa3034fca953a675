-- Portable between SQLite and PostgreSQL. The secret part of an address is kept as a hash alone.
CREATE TABLE share_links (
    id UUID PRIMARY KEY NOT NULL,
    owner_id UUID NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    gallery_id UUID NOT NULL REFERENCES galleries (id) ON DELETE CASCADE,
    user_id UUID REFERENCES users (id) ON DELETE SET NULL,
    token_hash TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    recipient TEXT NOT NULL,
    title TEXT NOT NULL,
    password_hash TEXT,
    download BOOLEAN NOT NULL,
    watermark BOOLEAN NOT NULL,
    show_references BOOLEAN NOT NULL,
    pairs TEXT,
    embed_origins TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    views BIGINT NOT NULL CHECK (views >= 0),
    last_viewed_at BIGINT
);
CREATE INDEX share_links_page ON share_links (owner_id, id);
CREATE INDEX share_links_gallery ON share_links (gallery_id, id);
CREATE INDEX share_links_user ON share_links (user_id);

CREATE TABLE share_views (
    id UUID PRIMARY KEY NOT NULL,
    link_id UUID NOT NULL REFERENCES share_links (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('shown', 'preview', 'refused')),
    network TEXT NOT NULL
);
CREATE INDEX share_views_page ON share_views (link_id, id);
CREATE INDEX share_views_age ON share_views (at);
