-- Transaction control in a script: the runner's wrapper is accepted, what would
-- cut the script is TM003, and what the server refuses in a transaction block too.
\set SHOW_CONTEXT always
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tapmig;
RESET client_min_messages;
SET tapmig.track = 'wrappers';

--
-- The wrapper
--
SELECT tapmig.apply('1.1_begin', 'BEGIN; CREATE TABLE wrappers_1 (); COMMIT;');
SELECT tapmig.apply('1.2_start', 'START TRANSACTION; CREATE TABLE wrappers_2 (); COMMIT WORK;');
SELECT tapmig.apply('1.3_end', 'BEGIN TRANSACTION; CREATE TABLE wrappers_3 (); END;');
SELECT tapmig.apply('1.4_set_outside', $$-- a runner's file
\set ON_ERROR_STOP on
SET lock_timeout = '1s';
\echo hello
BEGIN;
RESET lock_timeout;
CREATE TABLE wrappers_4 ();
COMMIT;
\echo done
SET search_path = public;
RESET ALL$$);
SELECT tapmig.apply('1.5_no_work', 'BEGIN; COMMIT;');
CALL tapmig.run('1.6_run', 'BEGIN; CREATE TABLE wrappers_6 (); COMMIT;');
-- the caller's transaction stays open
BEGIN;
SELECT tapmig.apply('1.7_inside', 'BEGIN; CREATE TABLE wrappers_7 (); COMMIT;');
ROLLBACK;
SELECT to_regclass('wrappers_7') IS NULL AS rolled_back, tapmig.is_applied('1.7') AS applied;
-- a last COMMIT alone
SELECT tapmig.apply('1.8_commit', E'CREATE TABLE wrappers_8 ();\nCOMMIT;\nRESET ALL;');
SELECT tapmig.apply('1.9_commit', E'COMMIT;');
SELECT statement, command, shape, step FROM tapmig.statements('SET a.b = 1; BEGIN; SELECT 1; COMMIT; RESET a.b');

--
-- What is none
--
SELECT tapmig.apply('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('2_no', E'CREATE TABLE wrappers_no ();\nBEGIN;');
SELECT tapmig.apply('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT;\nBEGIN;');
SELECT tapmig.apply('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT AND CHAIN;');
SELECT tapmig.apply('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();\nROLLBACK;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();\nABORT;');
SELECT tapmig.apply('2_no', E'SELECT 1;\nSAVEPOINT s;\nSELECT 2;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('2_no', E'SELECT 1;\nRELEASE SAVEPOINT s;');
SELECT tapmig.apply('2_no', E'SELECT 1;\nROLLBACK TO SAVEPOINT s;');
SELECT tapmig.apply('2_no', E'BEGIN;\nSELECT 1;\nPREPARE TRANSACTION ''p'';');
\echo :LAST_ERROR_SQLSTATE
-- the same of run
CALL tapmig.run('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();');
CALL tapmig.run('2_no', E'BEGIN;\nCREATE TABLE wrappers_no ();\nROLLBACK;');
CALL tapmig.run('2_no', E'SELECT 1;\nSAVEPOINT s;');
\echo :LAST_ERROR_SQLSTATE

--
-- Cut in the middle
--
SELECT tapmig.apply('3_cut', E'BEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT; BEGIN;\nCREATE TABLE wrappers_no_2 ();\nCOMMIT;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('3_cut', E'CREATE TABLE wrappers_no ();\nCOMMIT;\nCREATE TABLE wrappers_no_2 ();');
SELECT tapmig.apply('3_cut', E'CREATE TABLE wrappers_no ();\nBEGIN;\nCREATE TABLE wrappers_no_2 ();\nCOMMIT;');
SELECT tapmig.apply('3_cut', E'BEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT;\nCREATE TABLE wrappers_no_2 ();');
SELECT tapmig.apply('3_cut', E'BEGIN;\nBEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT;');
SELECT tapmig.apply('3_cut', E'BEGIN;\nCREATE TABLE wrappers_no ();\nCOMMIT AND CHAIN;\nSELECT 1;\nCOMMIT;');
-- the statement that can't be in a block is named, not the wrapper around it
CREATE TABLE wrappers_t (i int);
SELECT tapmig.apply('3_cut', E'SET lock_timeout = 0;\nBEGIN;\nCREATE INDEX CONCURRENTLY wrappers_i ON wrappers_t (i);\nCOMMIT;');
SELECT tapmig.apply('3_cut', E'SELECT 1;\nCOMMIT;\n-- Größe\nCREATE INDEX CONCURRENTLY wrappers_i ON wrappers_t (i);');
SELECT tapmig.apply('3_cut', E'VACUUM wrappers_t;');
SELECT tapmig.apply('3_cut', E'REINDEX (CONCURRENTLY) TABLE wrappers_t;');
SELECT tapmig.apply('3_cut', E'SELECT 1;\nDISCARD ALL');
SELECT tapmig.apply('3_cut', E'SELECT 1;\nALTER SYSTEM SET work_mem = ''4MB'';');
\echo :LAST_ERROR_SQLSTATE

--
-- What only the server tells
--
SELECT tapmig.apply('4_server', E'SELECT 1;\nDO $$\nBEGIN\n\tCREATE TABLE wrappers_no ();\n\tCOMMIT;\nEND $$;');
\echo :LAST_ERROR_SQLSTATE
CREATE PROCEDURE wrappers_p() LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$;
SELECT tapmig.apply('4_server', E'SELECT 1;\nCALL wrappers_p();');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('4_server', E'SELECT 1;\nDO $$ BEGIN EXECUTE ''VACUUM wrappers_t''; END $$;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('4_server', E'SELECT 1;\nDO $$ BEGIN EXECUTE ''CREATE INDEX CONCURRENTLY i ON wrappers_t (i)''; END $$;');
CREATE TYPE wrappers_e AS ENUM ('old');
SELECT tapmig.apply('4_server', E'ALTER TYPE wrappers_e ADD VALUE ''new'';\nSELECT 1;\nSELECT ''new''::wrappers_e;');
\echo :LAST_ERROR_SQLSTATE
-- an added value that isn't used, and the values of a new type: no problem
SELECT tapmig.apply('4.1_enum', E'ALTER TYPE wrappers_e ADD VALUE ''new'';');
SELECT tapmig.apply('4.2_enum', E'CREATE TYPE wrappers_e2 AS ENUM (''a'', ''b'');\nSELECT ''b''::wrappers_e2;');
DROP PROCEDURE wrappers_p();
-- a statement that a caught error hides is the script's own business
SELECT tapmig.apply('4.3_caught', E'DO $$ BEGIN COMMIT; EXCEPTION WHEN OTHERS THEN NULL; END $$;');

--
-- Transaction options at the head
--
CREATE TABLE wrappers_seen (version text, seen text);
CREATE FUNCTION wrappers_see(text) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO wrappers_seen SELECT $1, current_setting('transaction_isolation') || ', read only ' || current_setting('transaction_read_only') $$;
CALL tapmig.run('5.1_begin', E'BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT wrappers_see(''5.1'');\nCOMMIT;');
CALL tapmig.run('5.2_set', E'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSELECT wrappers_see(''5.2'');');
CALL tapmig.run('5.3_both', E'\\set ON_ERROR_STOP on\nSET lock_timeout = 0;\nBEGIN;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE;\nSELECT wrappers_see(''5.3'');\nCOMMIT;');
CALL tapmig.run('5.4_read_only', E'BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;');
CALL tapmig.run('5.5_read_only', E'BEGIN READ ONLY;\nSELECT wrappers_see(''5.5'');\nCOMMIT;');
CALL tapmig.run('5.6_write', E'BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED;\nSELECT wrappers_see(''5.6'');\nCOMMIT;');
CALL tapmig.run('5.7_late', E'SELECT 1;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM wrappers_seen ORDER BY version;
-- under apply: only what the transaction has already
SELECT tapmig.apply('6.1_apply', E'BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;');
\echo :LAST_ERROR_SQLSTATE
SELECT tapmig.apply('6.1_apply', E'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE;\nSELECT 1;\nCOMMIT;');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tapmig.apply('6.2_apply', E'BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;');
COMMIT;
BEGIN;
CALL tapmig.run('6.3_apply', E'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL tapmig.run('6.3_apply', E'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;');
COMMIT;
SELECT tapmig.apply('6.4_read_only', E'BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;');

SELECT version, name FROM tapmig.schema_migrations WHERE track = 'wrappers' ORDER BY tapmig.version_key(version);
SELECT relname FROM pg_class WHERE relname LIKE 'wrappers\_%' AND relkind = 'r' ORDER BY relname;
DROP TABLE wrappers_1, wrappers_2, wrappers_3, wrappers_4, wrappers_6, wrappers_8, wrappers_t, wrappers_seen;
DROP FUNCTION wrappers_see(text);
DROP TYPE wrappers_e, wrappers_e2;
