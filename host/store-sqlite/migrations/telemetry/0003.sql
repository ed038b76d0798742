-- Sessions that an operator took back: they are rejected, and nothing that is claimed of them later changes that.

ALTER TABLE sessions ADD COLUMN voided INTEGER NOT NULL DEFAULT 0;
