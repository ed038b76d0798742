-- Secrets of webhooks are sealed with a key that is not in the store: a start seals those that are still in clear. The new name keeps older
-- binaries from signing with what is sealed.
ALTER TABLE webhooks RENAME COLUMN secret TO sealed_secret;
