-- Which planning of its run a payout belongs to, and which one a run ended with; 0 while it is planned. A payout of another one is
-- never sent.

ALTER TABLE runs ADD COLUMN plan INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET plan = 1 WHERE state <> 'planned' OR version > 1;
ALTER TABLE payouts ADD COLUMN plan INTEGER NOT NULL DEFAULT 1;
