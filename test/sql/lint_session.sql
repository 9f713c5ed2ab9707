-- tapmig.lint: what a script SETs is known to its later statements, as long as it holds.
SET client_min_messages = warning;
SET timezone = 'Europe/Paris';
CREATE SCHEMA lint_session;
CREATE SCHEMA "lint Session";
SET search_path = lint_session;
SET tapmig.lint_rows = 10;
CREATE ROLE lint_session_role;
CREATE SCHEMA lint_session_role AUTHORIZATION lint_session_role;
CREATE TABLE agents (id int, seen timestamp);
CREATE TABLE "lint Session".teams (id int);
CREATE TABLE lint_session_role.own (id int);
INSERT INTO agents SELECT i, now() FROM generate_series(1, 50) i;
INSERT INTO "lint Session".teams SELECT i FROM generate_series(1, 50) i;
INSERT INTO lint_session_role.own SELECT i FROM generate_series(1, 50) i;

CREATE TABLE cases (n serial, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- TimeZone
('ALTER TABLE agents ALTER seen TYPE timestamptz',
	'1:alter-type-rewrite=error'),
('SET timezone = $$UTC$$; ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SET LOCAL timezone = $$UTC$$; ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SET LOCAL timezone = $$UTC$$; VACUUM cases; ALTER TABLE agents ALTER seen TYPE timestamptz',
	'3:alter-type-rewrite=error'),
('SET timezone = $$UTC$$; SET LOCAL timezone = $$Asia/Tokyo$$; VACUUM cases; ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SET timezone = $$UTC$$; VACUUM cases; ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SET LOCAL timezone = $$Asia/Tokyo$$; SET timezone = $$UTC$$; VACUUM cases; ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SELECT set_config($$TimeZone$$, $$UTC$$, false); ALTER TABLE agents ALTER seen TYPE timestamptz', ''),
('SELECT set_config($$TimeZone$$, $$UTC$$, true); VACUUM cases; ALTER TABLE agents ALTER seen TYPE timestamptz',
	'3:alter-type-rewrite=error'),
-- search_path
('SET search_path = "lint Session"; ALTER TABLE teams ALTER id TYPE bigint; ALTER TABLE agents ALTER id TYPE bigint',
	'2:alter-type-rewrite=error'),
('SET LOCAL search_path = "lint Session"; VACUUM cases; ALTER TABLE teams ALTER id TYPE bigint', ''),
('SELECT set_config($$search_path$$, $$"lint Session"$$, false); ALTER TABLE teams ALTER id TYPE bigint',
	'2:alter-type-rewrite=error'),
('SELECT pg_catalog.set_config($$search_path$$, $$"lint Session"$$, true); ALTER TABLE teams ALTER id TYPE bigint; VACUUM cases; ALTER TABLE teams ALTER id TYPE bigint',
	'2:alter-type-rewrite=error'),
('SELECT app.set_config($$search_path$$, $$"lint Session"$$, false); ALTER TABLE teams ALTER id TYPE bigint', ''),
-- the role, and what "$user" is by that
('SET search_path = "$user"; SET ROLE lint_session_role; ALTER TABLE own ALTER id TYPE bigint',
	'3:alter-type-rewrite=error'),
('SET search_path = "$user"; SET LOCAL ROLE lint_session_role; VACUUM cases; ALTER TABLE own ALTER id TYPE bigint', ''),
('SET search_path = "$user"; SELECT set_config($$role$$, $$lint_session_role$$, false); VACUUM cases; ALTER TABLE own ALTER id TYPE bigint',
	'4:alter-type-rewrite=error'),
('SET search_path = "$user"; SELECT set_config($$role$$, $$lint_session_role$$, true); VACUUM cases; ALTER TABLE own ALTER id TYPE bigint', ''),
('SET search_path = "$user"; SET SESSION AUTHORIZATION lint_session_role; SET ROLE none; ALTER TABLE own ALTER id TYPE bigint',
	'4:alter-type-rewrite=error'),
('SET search_path = "$user"; SET SESSION AUTHORIZATION lint_session_role; RESET SESSION AUTHORIZATION; ALTER TABLE own ALTER id TYPE bigint', ''),
('SET search_path = "$user"; SET ROLE lint_session_role; SET ROLE none; ALTER TABLE own ALTER id TYPE bigint', ''),
('SET search_path = "$user"; SET SESSION AUTHORIZATION lint_session_role; RESET ROLE; ALTER TABLE own ALTER id TYPE bigint',
	'4:alter-type-rewrite=error'),
-- lock_timeout
('SET lock_timeout = $$0 lightyears$$; ALTER TABLE agents ADD x int', ''),
('SET lock_timeout = -1; ALTER TABLE agents ADD x int', ''),
('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET lock_timeout = 0; SET lock_timeout = $$junk$$; ALTER TABLE agents ADD x int',
	'4:missing-lock-timeout=warning'),
('SET lock_timeout = 0; ALTER TABLE agents ADD x int',
	'2:missing-lock-timeout=warning'),
('SET lock_timeout = $$0$$; ALTER TABLE agents ADD x int',
	'2:missing-lock-timeout=warning'),
('SET lock_timeout = $$500ms$$; ALTER TABLE agents ADD x int', ''),
('SET lock_timeout = $$0.5s$$; ALTER TABLE agents ADD x int', ''),
('SET lock_timeout = 0; SET lock_timeout = 100; ALTER TABLE agents ADD x int', ''),
('SET LOCAL lock_timeout = 0; ALTER TABLE agents ADD x int',
	'2:missing-lock-timeout=warning'),
('SET LOCAL lock_timeout = 0; VACUUM cases; ALTER TABLE agents ADD x int', ''),
('SET lock_timeout = 0; VACUUM cases; ALTER TABLE agents ADD x int',
	'3:missing-lock-timeout=warning'),
('SELECT set_config($$lock_timeout$$, $$0$$, false); ALTER TABLE agents ADD x int',
	'2:missing-lock-timeout=warning'),
('RESET lock_timeout; ALTER TABLE agents ADD x int', ''),
('SET lock_timeout TO DEFAULT; ALTER TABLE agents ADD x int', ''),
('RESET ALL; ALTER TABLE lint_session.agents ADD x int', ''),
('SET lock_timeout = 0; RESET lock_timeout; ALTER TABLE agents ADD x int', ''),
('-- tapmig: lock_timeout=0
SET lock_timeout = 100; RESET lock_timeout; ALTER TABLE agents ADD x int',
	'3:missing-lock-timeout=warning'),
('RESET lock_timeout; VACUUM cases; ALTER TABLE agents ADD x int', ''),
('RESET lock_timeout; ALTER TABLE agents ADD x int; VACUUM cases', ''),
-- DISCARD
('CREATE TEMP TABLE agents (id int); ALTER TABLE agents ALTER id TYPE bigint; DISCARD TEMP; ALTER TABLE agents ALTER id TYPE bigint',
	'4:alter-type-rewrite=error'),
('SET timezone = $$UTC$$; SET lock_timeout = 0; DISCARD ALL; ALTER TABLE lint_session.agents ALTER seen TYPE timestamptz',
	'4:alter-type-rewrite=error');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;
DROP SCHEMA lint_session, "lint Session", lint_session_role CASCADE;
DROP ROLE lint_session_role;
