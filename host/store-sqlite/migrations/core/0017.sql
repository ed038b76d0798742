-- How a period is shared, kept before anything of it is booked, until all of it is.
CREATE TABLE distributions (
    period_start_s INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
) STRICT;
