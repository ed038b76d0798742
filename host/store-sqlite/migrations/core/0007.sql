-- Who stands for a policy version: signatures beside the bundle, the names of their trusted keys beside the version.

ALTER TABLE policy_versions ADD COLUMN signed_by TEXT NOT NULL DEFAULT '[]';
ALTER TABLE policy_bundles ADD COLUMN signatures TEXT NOT NULL DEFAULT '[]';
