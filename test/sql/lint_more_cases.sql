-- tapmig.lint: conditions of the rules that only the server's catalogs decide, each where it holds and where it doesn't.
SET client_min_messages = warning;
CREATE SCHEMA lint_more;
SET search_path = lint_more;
SET tapmig.lint_rows = 10;
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE agents (id int PRIMARY KEY, team int, note text, UNIQUE (note));
INSERT INTO teams SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO agents SELECT i, i, i FROM generate_series(1, 50) i;

CREATE TABLE cases (n int GENERATED ALWAYS AS IDENTITY, script text, finds text);
INSERT INTO cases (script, finds) VALUES
-- an index that the script makes serves a foreign key, until the script drops it
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX i ON agents (team)',
	'1:fk-locks-referenced-table=warning 2:index-create-not-concurrent=error 2:statement-after-write-block=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); DROP INDEX CONCURRENTLY i',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); DROP INDEX i',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 3:index-drop-not-concurrent=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY ON agents (team, lower(note)); DROP INDEX CONCURRENTLY agents_team_lower_idx',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY ON agents (team); CREATE INDEX CONCURRENTLY ON agents (team); DROP INDEX CONCURRENTLY agents_team_idx1',
	'1:fk-locks-referenced-table=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY i ON agents (team); ALTER INDEX i RENAME TO j; DROP INDEX CONCURRENTLY j',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; ALTER TABLE agents ADD CONSTRAINT u UNIQUE (team)',
	'1:fk-locks-referenced-table=warning 2:add-unique-no-using-index=error 2:statement-after-write-block=notice'),
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; ALTER TABLE agents ADD UNIQUE (team); ALTER TABLE agents DROP CONSTRAINT agents_team_key',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning 2:add-unique-no-using-index=error 2:statement-after-write-block=notice'),
('CREATE TABLE new (id int PRIMARY KEY, team int UNIQUE); ALTER TABLE new ADD FOREIGN KEY (team) REFERENCES teams',
	'2:fk-locks-referenced-table=warning'),
('CREATE TABLE new (id int PRIMARY KEY, team int UNIQUE); ALTER TABLE new ADD FOREIGN KEY (team) REFERENCES teams; ALTER TABLE new DROP CONSTRAINT new_team_key',
	'2:fk-locks-referenced-table=warning 2:fk-missing-index=notice'),
-- IF NOT EXISTS makes nothing where the name is taken
('ALTER TABLE agents ADD FOREIGN KEY (team) REFERENCES teams NOT VALID; CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_note_key ON agents (team)',
	'1:fk-locks-referenced-table=warning 1:fk-missing-index=warning'),
('DROP TABLE agents; CREATE TABLE agents (team int REFERENCES teams); CREATE INDEX IF NOT EXISTS agents_pkey ON agents (team)',
	'2:fk-locks-referenced-table=warning');
SELECT n, script, finds AS expected, found
FROM cases, LATERAL (SELECT coalesce(string_agg(statement || ':' || rule || '=' || level, ' ' ORDER BY statement, rule), '') AS found
	FROM tapmig.lint(script)) AS f
WHERE found <> finds ORDER BY n;
SELECT count(*) FROM cases;
DROP SCHEMA lint_more CASCADE;
