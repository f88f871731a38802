-- The books of an inn: who stayed, and how their horses were looked after.
CREATE TABLE guests (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    town TEXT
);

CREATE TABLE horses (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    breed TEXT NOT NULL,
    height_cm INTEGER,
    owner INTEGER NOT NULL REFERENCES guests (id)
);

CREATE TABLE stays (
    id INTEGER PRIMARY KEY,
    horse INTEGER NOT NULL REFERENCES horses (id),
    stall INTEGER NOT NULL,
    arrived TEXT NOT NULL,
    nights INTEGER NOT NULL DEFAULT 1,
    oats_kg REAL NOT NULL
);

CREATE INDEX stays_by_horse ON stays (horse);

INSERT INTO guests (id, name, town) VALUES
    (1, 'Agnes Fletcher', 'Ludlow'),
    (2, 'Bertram Cole', 'York'),
    (3, 'Cecily Marsh', 'Bath'),
    (4, 'Duncan Reid', NULL),
    (5, 'Edith Harrow', 'York');

INSERT INTO horses (id, name, breed, height_cm, owner) VALUES
    (1, 'Bramble', 'Dales Pony', 145, 1),
    (2, 'Comet', 'Thoroughbred', 165, 2),
    (3, 'Duchess', 'Shire', 178, 2),
    (4, 'Ember', 'Welsh Cob', 148, 3),
    (5, 'Fog', 'Highland Pony', NULL, 4),
    (6, 'Gallant', 'Cleveland Bay', 168, 5);

INSERT INTO stays (horse, stall, arrived, nights, oats_kg) VALUES
    (1, 3, '1788-03-02', 2, 5.5),
    (2, 1, '1788-03-02', 1, 4.0),
    (3, 2, '1788-03-02', 1, 7.5),
    (4, 4, '1788-03-05', 3, 8.0),
    (5, 1, '1788-03-09', 1, 3.0),
    (1, 3, '1788-03-16', 2, 6.0),
    (6, 2, '1788-03-20', 4, 14.5),
    (2, 1, '1788-04-01', 2, 8.5),
    (4, 4, '1788-04-02', 1, 2.5),
    (6, 2, '1788-04-11', 1, 4.5);

CREATE VIEW bill AS
SELECT guests.name AS guest, horses.name AS horse, stays.arrived, stays.nights,
       stays.nights * 18 + CAST(round(stays.oats_kg * 3) AS INTEGER) AS pence
FROM stays
JOIN horses ON horses.id = stays.horse
JOIN guests ON guests.id = horses.owner;
