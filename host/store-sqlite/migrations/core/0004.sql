-- The greatest fence that a payer came with: whoever comes with a smaller one changes no payout.

CREATE TABLE payer (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    fence INTEGER NOT NULL CHECK (fence >= 0)
) STRICT;
