-- What was erased on request, by whom and why: kept, and done again should the same calls come from elsewhere once more.

CREATE TABLE IF NOT EXISTS erasures (
    id String,
    at DateTime64(6, 'UTC'),
    tenant String DEFAULT '',
    fingerprint String DEFAULT '',
    by String,
    why String,
    report String,
    CONSTRAINT something_is_named CHECK tenant != '' OR fingerprint != ''
) ENGINE = ReplacingMergeTree ORDER BY (at, id);
