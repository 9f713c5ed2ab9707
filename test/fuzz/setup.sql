-- What lint finds when it looks at the scripts that are made up.
CREATE TABLE t (a int PRIMARY KEY, b text, c numeric(10, 2) DEFAULT 0, d timestamptz);
INSERT INTO t SELECT i, 'x' FROM generate_series(1, 100) i;
CREATE INDEX i ON t (b);
CREATE TABLE p (a int, b int REFERENCES t) PARTITION BY RANGE (a);
CREATE TABLE q PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE agents (id bigint GENERATED ALWAYS AS IDENTITY, note varchar(20) CHECK (note <> ''), "A b" text);
INSERT INTO agents (note) VALUES ('n');
CREATE VIEW v AS SELECT a, b FROM t;
CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
CREATE TYPE e AS ENUM ('a', 'b');
CREATE DOMAIN d AS int CHECK (VALUE > 0);
CREATE SEQUENCE s;
CREATE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1';
ANALYZE;
