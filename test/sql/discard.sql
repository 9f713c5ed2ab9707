-- tapmig.discard: CALL tapmig.run at top level begins with a session as new.
-- What a script puts back by itself, the settings, is in settings_restored.
CREATE SEQUENCE numbers;
CREATE FUNCTION left_over() RETURNS text[] LANGUAGE sql AS $$
  SELECT array_remove(ARRAY[
    CASE WHEN to_regclass('pg_temp.kept') IS NOT NULL THEN 'table' END,
    (SELECT 'cursor' FROM pg_cursors WHERE name = 'kept'),
    (SELECT 'statement' FROM pg_prepared_statements WHERE name = 'kept'),
    (SELECT 'channel' FROM pg_listening_channels() c WHERE c = 'kept'),
    (SELECT 'lock' FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objid = 4711)], NULL)
$$;
CREATE TABLE seen (n int, what text[]);

\set leaves 'CREATE TEMP TABLE kept (); DECLARE kept CURSOR WITH HOLD FOR SELECT 1; PREPARE kept AS SELECT 1; LISTEN kept; SELECT pg_advisory_lock(4711), nextval(\'public.numbers\')'

-- Off: the session keeps them.
CALL tapmig.run('1', :'leaves');
CALL tapmig.run('2', 'INSERT INTO seen VALUES (2, left_over())');
SELECT currval('numbers');

-- In a transaction block and in a DO block on has no effect.
SET tapmig.discard = on;
BEGIN;
CALL tapmig.run('3', 'INSERT INTO seen VALUES (3, left_over())');
COMMIT;
DO $$DECLARE outcome text; BEGIN CALL tapmig.run('4', 'INSERT INTO seen VALUES (4, left_over())', NULL, outcome); END$$;

-- At top level; a version that is in force does it too.
CALL tapmig.run('4', 'INSERT INTO seen VALUES (4, left_over())');
SELECT left_over();
SELECT currval('numbers');
CALL tapmig.run('5', :'leaves');
CALL tapmig.run('6', 'INSERT INTO seen VALUES (6, left_over())');
CALL tapmig.run('7', 'CREATE TEMP TABLE kept AS SELECT currval(''public.numbers'')');
SELECT n, what FROM seen ORDER BY n;

-- The caller's own settings stay, what else it has goes.
SET work_mem = '77kB';
PREPARE kept AS SELECT 1;
CALL tapmig.run('8', 'SELECT 1');
SHOW work_mem;
SHOW tapmig.discard;
SELECT left_over();

-- A setting that a deferred trigger makes when the script has ended is put back too.
CREATE TABLE late (i int);
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM set_config('work_mem', '99kB', false); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION late();
CALL tapmig.run('9', 'INSERT INTO late VALUES (1)');
SHOW work_mem;

DROP TABLE seen, late;
DROP FUNCTION left_over(), late();
DROP SEQUENCE numbers;
