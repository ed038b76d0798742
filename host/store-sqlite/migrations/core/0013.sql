-- Votes that the chain does not have yet: later ones of the same node wait for them.

CREATE INDEX votes_unsent ON votes (node, epoch_start_s) WHERE state = 'pending' AND vote_id IS NULL;
