-- How versions are read and ordered: tapmig.version_key(text).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
\pset null '(null)'

-- What is a version, and what is its name.  The key names the version alone.
SELECT arg, tapmig.version_key(arg) AS key
  FROM (VALUES
    (1, '036'), (2, '036_add_index'), (3, '036_2fa'), (4, '001-2fa'),
    (5, '036.'), (6, '036__x'), (7, '1.10'), (8, '1.2-3_x'),
    (9, '1..2'), (10, '20260114093000_x'), (11, '000'),
    -- after a V, and before __, a _ between digits is a point
    (12, 'V1_2__x'), (13, 'v1_2__x'), (14, 'V1_2_3_x__y'), (15, 'V1_2_x'),
    (16, '1_2__x'),
    -- hyphens of a date don't count
    (17, '2017-10-08-193512_x'), (18, '2017-10-08'), (19, '2017-10-08-2fa'),
    (20, 'V2017-10-08__x'),
    -- no date: no such month, no such day, more digits
    (21, '2017-13-08'), (22, '2017-10-32'), (23, '2017-00-08'),
    (24, '2017-10-081'), (25, '2017-10-08x')
  ) AS t (n, arg)
 ORDER BY n;

-- The order.
SELECT string_agg(arg, ' < ' ORDER BY tapmig.version_key(arg) COLLATE "C") AS ascending
  FROM unnest(ARRAY['20260114093000', '10', '9', '1.10', '1.2', '1.2.1', '1.0',
                    '1', '0', '036', '35', '100']) AS arg;

-- One version, written in two ways.
SELECT a, b, tapmig.version_key(a) = tapmig.version_key(b) AS equal
  FROM (VALUES
    (1, '36', '036'), (2, '1.2', '1-2'), (3, '1.2', '01.002'),
    (4, 'V1_2__x', '1.2_y'), (5, 'V036__a', '36'),
    (6, '2017-10-08-193512', '20171008193512'), (7, '0', '00'),
    (8, '1.0', '1-00')
  ) AS t (n, a, b)
 ORDER BY n;

-- Two versions.
SELECT a, b, tapmig.version_key(a) = tapmig.version_key(b) AS equal
  FROM (VALUES
    (1, '1', '1.0'), (2, '1.2', '12'), (3, '1.10', '1.1'), (4, '1', '10'),
    (5, '2017-13-08', '20171308')
  ) AS t (n, a, b)
 ORDER BY n;

SELECT tapmig.version_key(NULL) AS key;

-- 200 characters are allowed, however many bytes they have.
SELECT length(tapmig.version_key(repeat('9', 200))) AS key_length;
SELECT tapmig.version_key('1_' || repeat(U&'\00E4', 198)) AS key;

-- Everything else is refused, and a long argument isn't repeated whole.
SELECT tapmig.version_key('12abc');
SELECT tapmig.version_key('1_' || repeat('a', 10000));
\set VERBOSITY terse
SELECT tapmig.version_key('x' || repeat('y', 199));
SELECT tapmig.version_key(repeat('9', 201));
\set VERBOSITY sqlstate
SELECT tapmig.version_key('1_' || repeat(U&'\00E4', 199));
SELECT tapmig.version_key('');
SELECT tapmig.version_key('add_index');
SELECT tapmig.version_key('12abc_x');
SELECT tapmig.version_key(' 1');
SELECT tapmig.version_key('.1');
SELECT tapmig.version_key('-1');
SELECT tapmig.version_key('_1');
SELECT tapmig.version_key('V');
SELECT tapmig.version_key('Vx1');
SELECT tapmig.version_key('VV1');
SELECT tapmig.version_key(repeat('9', 201));
