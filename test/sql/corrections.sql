-- register, accept, withdraw, abandon and step_done: arguments and states.
\set VERBOSITY terse
SET tapmig.track = 'corrections';

-- A time that is zero inside of the server is a time like any other.
SELECT tapmig.register('1', 'SELECT 1', applied_at => '2000-01-01 00:00:00+00');
SELECT applied_at = '2000-01-01 00:00:00+00' AS as_given FROM tapmig.schema_migrations
 WHERE track = 'corrections' AND version = '1';

-- What cannot be read is recorded by its checksum, and nothing leaks.
SELECT tapmig.register('2', 'SELECT ''open');
SELECT fingerprint IS NULL AS no_fingerprint, checksum = sha256('SELECT ''open') AS checksum
  FROM tapmig.schema_migrations WHERE track = 'corrections' AND version = '2';
SELECT tapmig.register('2', 'SELECT ''open');
SELECT tapmig.register('2', 'SELECT ''other');

-- Each refuses any state but its own.
\set VERBOSITY sqlstate
SELECT tapmig.accept('1', 'SELECT 1', 'the same text');
SELECT tapmig.accept('9', 'SELECT 1', 'not there');
SELECT tapmig.accept('1', 'SELECT 2', '  ');
SELECT tapmig.accept('1', NULL, 'why');
SELECT tapmig.withdraw('9', 'not there');
SELECT tapmig.withdraw('1', NULL);
SELECT tapmig.apply('3', 'SELECT 3');
SELECT tapmig.withdraw('3', 'it was applied');
SELECT tapmig.abandon('3', 'it was applied');
SELECT tapmig.abandon('9', 'nothing to abandon');
SELECT tapmig.step_done('9', 1, 'nothing under way');
SELECT tapmig.step_done('9', NULL, 'which');
\set VERBOSITY terse

-- A failed step is known to have ended: it cannot be declared done, but given up.
CREATE TABLE corrections_t (i int);
INSERT INTO corrections_t VALUES (1), (1);
CALL tapmig.run('4', E'INSERT INTO corrections_t VALUES (2);\nCREATE UNIQUE INDEX CONCURRENTLY corrections_i ON corrections_t (i);');
SELECT outcome, steps, steps_done, step_running FROM tapmig.attempts WHERE track = 'corrections' AND version = '4';
SELECT tapmig.step_done('4', 2, 'no');
SELECT tapmig.apply('4', 'SELECT 4');
SELECT tapmig.abandon('4', 'begins anew');
SELECT outcome FROM tapmig.attempts WHERE track = 'corrections' AND version = '4';
DELETE FROM corrections_t;
CALL tapmig.run('4', E'INSERT INTO corrections_t VALUES (2);\nCREATE UNIQUE INDEX CONCURRENTLY corrections_i ON corrections_t (i);');
SELECT i FROM corrections_t;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'corrections_i'::regclass;

-- A try that fails before it runs doesn't hide what an earlier one has done.
DROP INDEX corrections_i;
INSERT INTO corrections_t VALUES (2);
CALL tapmig.run('4.5', E'CREATE TABLE corrections_one ();\nCOMMIT;\nCREATE UNIQUE INDEX CONCURRENTLY corrections_j ON corrections_t (i);');
CALL tapmig.run('4.5', E'CREATE TABLE corrections_one ();\nCOMMIT;\nCREATE UNIQUE INDEX CONCURRENTLY corrections_j ON corrections_t (i);\nSELEC 1;');
TRUNCATE corrections_t;
CALL tapmig.run('4.5', E'CREATE TABLE corrections_one ();\nCOMMIT;\nCREATE UNIQUE INDEX CONCURRENTLY corrections_j ON corrections_t (i);');
DROP TABLE corrections_one;

-- register closes what was left open.
CALL tapmig.run('5', E'SELECT 1;\nVACUUM corrections_none;');
SELECT tapmig.register('5', E'SELECT 1;\nVACUUM corrections_none;');
SELECT outcome FROM tapmig.attempts WHERE track = 'corrections' AND version = '5';

SELECT version, event, reason FROM tapmig.history WHERE track = 'corrections' ORDER BY seq;
SELECT count(*) FROM tapmig.verify() WHERE track = 'corrections';
DROP TABLE corrections_t;
RESET tapmig.track;
