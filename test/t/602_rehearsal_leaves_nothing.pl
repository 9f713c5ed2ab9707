# A rehearsal leaves nothing: no object, row, lock, setting, ledger row, attempt;
# whether it comes to its end, fails, is cancelled or is cut off by its limit.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "tapmig.rehearse_limit = '1min'\n");
my $other = session($node);
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA app;
CREATE ROLE team;
CREATE TYPE app.mood AS ENUM ('sad');
CREATE TABLE app.t (id int PRIMARY KEY, a int DEFAULT 1 CHECK (a > 0), b varchar(10));
COMMENT ON TABLE app.t IS 'as it was';
INSERT INTO app.t SELECT g, g, g FROM generate_series(1, 1000) g;
CREATE INDEX t_a ON app.t (a);
CREATE TABLE app.u (t_id int REFERENCES app.t);
INSERT INTO app.u VALUES (1);
CREATE VIEW app.v AS SELECT id FROM app.t;
CREATE MATERIALIZED VIEW app.m AS SELECT id FROM app.t;
CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
SQL
apply($node, '001', 'SELECT 1');

# A bit of everything.
my $script = <<'SQL';
-- tapmig: lock_timeout=7s
SET search_path = app;
SET work_mem = '1MB';
SELECT set_config('my.setting', 'on', false);
SET ROLE team;
RESET ROLE;
SET LOCAL statement_timeout = '1h';
ALTER TABLE t ADD COLUMN c int DEFAULT 1, ALTER b TYPE text, DROP CONSTRAINT t_a_check;
COMMENT ON TABLE t IS 'another';
CREATE TABLE fresh (id int PRIMARY KEY);
CREATE TEMP TABLE temporary (i int);
INSERT INTO t VALUES (2000, 1, 'x');
UPDATE t SET a = a + 1;
DELETE FROM u;
COPY u FROM stdin;
2
3
\.
DROP INDEX t_a;
ALTER TYPE mood ADD VALUE 'ok';
CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2';
GRANT SELECT ON t TO team;
CREATE ROLE fresh_role;
REFRESH MATERIALIZED VIEW m;
CLUSTER t USING t_pkey;
TRUNCATE u;
DROP TABLE u;
LISTEN channel;
SELECT pg_advisory_lock(1), pg_advisory_lock(1), pg_advisory_lock_shared(2), pg_advisory_xact_lock(3);
SELECT pg_try_advisory_lock(4);
DECLARE held CURSOR WITH HOLD FOR SELECT 1;
SQL

my $settings = q{SELECT md5(string_agg(name || '=' || setting || '/' || source, ',' ORDER BY name)),
	current_user, session_user, current_setting('search_path'), current_setting('my.setting', true) IS NULL
		OR current_setting('my.setting', true) = '' FROM pg_settings};
my $traces = q{SELECT (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384
		AND relation NOT IN (SELECT oid FROM pg_class WHERE relnamespace = 'tapmig'::regnamespace)),
	(SELECT string_agg(objid || mode, ' ' ORDER BY objid) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
	(SELECT count(*) FROM pg_cursors WHERE name = 'held'), (SELECT count(*) FROM pg_listening_channels()),
	to_regclass('temporary') IS NULL,
	(SELECT count(*) FROM tapmig.attempts), (SELECT count(*) FROM tapmig.history), (SELECT count(*) FROM tapmig.schema_migrations),
	(SELECT count(*) FROM pg_roles WHERE rolname = 'fresh_role')};
my $clean = [ [ 0, '4ExclusiveLock', 0, 0, 't', 0, 1, 1, 0 ] ];
my $dump = dump_text($node, 'postgres');
ok(length $dump, 'a dump');

my $s = session($node);
$s->try('SET search_path = public; SELECT pg_advisory_lock(4)');
$s->try(q{SELECT count(*) FROM tapmig.statements('')});    # loads the library
$s->try('DO $$ BEGIN END $$');                             # and PL/pgSQL, with its settings
my $before = $s->try($settings)->{rows};
my $rehearse = 'SELECT count(*) FROM tapmig.rehearse($1)';

sub untouched
{
	my ($what) = @_;

	is_deeply($s->try($settings)->{rows}, $before, "$what: the settings");
	is_deeply($s->try($traces)->{rows}, $clean, "$what: no locks or other traces") or diag explain $s->try($traces)->{rows};
	is(dump_text($node, 'postgres'), $dump, "$what: the same dump");
	is($other->try(q{SET lock_timeout = '5s'; INSERT INTO app.t VALUES (-1, 1, ''); DELETE FROM app.t WHERE id = -1})->{ok}, 1,
		"$what: others write");
}

# In a transaction block the session goes on, so that what it still has shows.
sub in_block
{
	my ($what, $how) = @_;

	$s->try('BEGIN; SAVEPOINT s');
	my $r = $how->();
	$s->try('ROLLBACK TO s') unless $r->{ok};
	is_deeply($s->try($traces)->{rows}, $clean, "$what, in its transaction: no locks or other traces")
	  or diag explain $s->try($traces)->{rows};
	is_deeply($s->try($settings)->{rows}, $before, "$what, in its transaction: the settings");
	is($s->try('COMMIT')->{ok}, 1, "$what, in its transaction: it can be committed");
	untouched("$what, in a transaction");
}

# ---------------------------------------------------------------- to its end

my $n = $s->try('SELECT count(*) FROM tapmig.statements($1)', bind => [$script])->{value};
cmp_ok($n, '>', 20, 'a script of many statements');
for my $way (sub { $_[1]->() }, \&in_block)
{
	$way->('to its end', sub {
		my $r = $s->try($rehearse, bind => [$script]);
		ok($r->{ok}, 'to its end') or diag explain $r;
		cmp_ok($r->{value} // 0, '>=', $n, 'to its end: a row for each statement');
		return $r;
	});
	untouched('to its end');
}

# ---------------------------------------------------------------- an error

for my $way (sub { $_[1]->() }, \&in_block)
{
	$way->('an error', sub {
		my $r = $s->try($rehearse, bind => [ $script . "ALTER TABLE t ADD CHECK (id < 5);\nSELECT 1;\n" ]);
		is_error($r, '23514', undef, 'an error in the middle');
		return $r;
	});
	untouched('an error');
}

# Caught by the caller: its transaction goes on.
$s->try('BEGIN');
is_error($s->try('SELECT 1/0'), '22012', undef, 'an aborted transaction');
is_error($s->try($rehearse, bind => ['SELECT 1']), '25P02', undef, 'is no place for a rehearsal');
$s->try('ROLLBACK');
my $r = $s->try(q{DO $do$
BEGIN
	CREATE TABLE public.kept (i int);
	BEGIN
		PERFORM * FROM tapmig.rehearse('DROP TABLE public.kept; ALTER TABLE app.t ADD CHECK (id < 5)');
	EXCEPTION WHEN check_violation THEN NULL;
	END;
	PERFORM * FROM tapmig.rehearse('INSERT INTO public.kept VALUES (1); DROP TABLE public.kept');
	INSERT INTO public.kept VALUES (2);
END $do$});
ok($r->{ok}, 'rehearsals in a function') or diag explain $r;
is($s->try('SELECT string_agg(i::text, \',\') FROM public.kept')->{value}, 2, 'it keeps what it made itself');
$s->try('DROP TABLE public.kept');
untouched('rehearsals in a function');

# ---------------------------------------------------------------- a cancel

for my $way (sub { $_[1]->() }, \&in_block)
{
	$way->('a cancel', sub {
		$s->try(q{SET tapmig.rehearse_limit = 0});
		$s->start($rehearse, bind => [ $script . "SELECT pg_sleep(600);\n" ]);
		wait_event($node, $s->pid, 'PgSleep');
		$s->cancel;
		my $r = $s->finish;
		is_error($r, '57014', qr/user request/, "the user's cancel");
		$s->try('ROLLBACK TO s; RESET tapmig.rehearse_limit') unless $s->try('RESET tapmig.rehearse_limit')->{ok};
		return $r;
	});
	untouched('a cancel');
}

# ---------------------------------------------------------------- the limit

for my $way (sub { $_[1]->() }, \&in_block)
{
	$way->('the limit', sub {
		$s->try(q{SET tapmig.rehearse_limit = '300ms'});
		my $r = $s->try($rehearse, bind => [ $script . "SELECT pg_sleep(600);\nSELECT 1;\n" ]);
		ok($r->{ok}, 'the limit: rows, not an error') or diag explain $r;
		like(join("\n", @{ $r->{notices} }), qr/^WARNING:  the rehearsal was cut off in statement/m, 'the limit: a WARNING');
		$s->try('RESET tapmig.rehearse_limit');
		return $r;
	});
	untouched('the limit');
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM tapmig.verify()'), 0, 'the ledger is clean');
done_testing();
