--
-- plan(): files against the ledger
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE FUNCTION hide(text) RETURNS text LANGUAGE sql AS
$$ SELECT regexp_replace(regexp_replace($1, '\d{4}-\d\d-\d\d [0-9:]+[+-][0-9:]*\d', 'THEN'), '(applied|registered) THEN by [^ ;,]+', '\1 THEN by SOMEBODY') $$;
CREATE FUNCTION sum256(text) RETURNS text LANGUAGE sql AS
$$ SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') $$;
SET tapmig.track = 'plan';

-- an empty ledger
SELECT * FROM tapmig.plan('{}');
SELECT * FROM tapmig.plan('{10,9,1.10,1.2,036_z}');

SELECT tapmig.apply('001_one', 'SELECT 1'), tapmig.apply('001_one', 'SELECT   1');
SELECT tapmig.apply('002_two', 'SELECT 2');
SELECT tapmig.register('003_three', 'SELECT 3'), tapmig.register('004'), tapmig.register('006_six');
CALL tapmig.run('007_bad', 'SELECT 1/0');
SELECT tapmig.register('1', track => 'plan other');

-- applied by its checksum, by a layout that was seen, without one; differs
SELECT version, name, state, action, hide(detail) AS detail
  FROM tapmig.plan('{6,007_bad,001_one,2_two,003_drei,005_new,004,008}',
                   ARRAY[NULL, sum256('SELECT 1/0'), upper(sum256('SELECT   1')), sum256('SELECT 2'), sum256('SELECT drei'), NULL, sum256('x'), NULL]);
SELECT version, name, state, action, hide(detail) AS detail
  FROM tapmig.plan('{002_two}', ARRAY[sum256('SELECT 22')]);

-- rows without a file: missing below the highest file, ahead above
SELECT version, state, action, hide(detail) AS detail FROM tapmig.plan('{001,003}');
SELECT version, state, action FROM tapmig.plan('{}');

-- out of order under each policy; a failed version below the highest is as late
SELECT tapmig.register('020');
SET tapmig.out_of_order = 'error';
SELECT version, state, action, hide(detail) AS detail
  FROM tapmig.plan('{005,007_bad,021}') WHERE state IN ('out_of_order', 'failed', 'pending');
SET tapmig.out_of_order = 'allow';
SELECT version, state, action FROM tapmig.plan('{005,007_bad,021}') WHERE state IN ('out_of_order', 'failed', 'pending');
RESET tapmig.out_of_order;

-- a failed try counts until an event of its version is newer
SELECT tapmig.register('7'), tapmig.withdraw('7', 'no');
SELECT version, state, action FROM tapmig.plan('{007_bad}') WHERE version = '007';
CALL tapmig.run('7_bad', 'SELECT 1/0 AS again');
SELECT version, state, action, hide(detail) AS detail FROM tapmig.plan('{007_bad}') WHERE version = '007';

-- a squash replaces versions: their files are applied, their rows not missing
SELECT tapmig.apply('001', 'SELECT 1', track => 'squash'), tapmig.apply('002', 'SELECT 2', track => 'squash');
SELECT tapmig.apply('010_squash', E'-- tapmig: replaces=001..002\nSELECT 10', track => 'squash');
SELECT tapmig.apply('1', E'-- tapmig: replaces=0.1..0.9, 0.20\nSELECT 10', track => 'new squash');
SELECT version, name, state, action, hide(detail) AS detail FROM tapmig.plan('{010_squash,011}', track => 'squash');
SELECT version, state, action, hide(detail) AS detail FROM tapmig.plan('{001,010_squash,003}', track => 'squash');
SELECT version, state, action, hide(detail) AS detail FROM tapmig.plan('{0.1,0.5,0.10,0.20,1}', track => 'new squash');

-- arguments
SELECT * FROM tapmig.plan(NULL);
SELECT * FROM tapmig.plan('{001,NULL}');
SELECT * FROM tapmig.plan('{001,nonsense}');
SELECT * FROM tapmig.plan('{001,002}', '{NULL}');
SELECT * FROM tapmig.plan('{001}', '{12}');
SELECT * FROM tapmig.plan('{001}', ARRAY[repeat('g', 64)]);
\set VERBOSITY default
SELECT * FROM tapmig.plan('{001_one,002,1_other}');

DROP FUNCTION hide(text), sum256(text);
DROP EXTENSION tapmig;
CREATE EXTENSION tapmig;
