# What one session can do to another's migration, and a script to the session that
# it runs in: nothing beyond what PostgreSQL lets it do anyway.

use strict;
use warnings;

use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $root_name = sql_value($node, 'SELECT quote_ident(current_user)');

sql_value($node, $_) for (
	'CREATE ROLE app LOGIN', 'CREATE ROLE deployer LOGIN', 'CREATE ROLE team', 'GRANT team TO deployer',
	'GRANT EXECUTE ON PROCEDURE tapmig.run TO deployer, team', 'GRANT EXECUTE ON FUNCTION tapmig.apply TO deployer, team',
	'CREATE SCHEMA s', 'GRANT ALL ON SCHEMA s TO PUBLIC', 'CREATE TABLE s.t AS SELECT i FROM generate_series(1, 10) i',
	'ALTER TABLE s.t OWNER TO deployer');

# ------------------------------------------ a script and the rights of its caller

# Through a SECURITY DEFINER function the caller is the function's owner; no script
# becomes the session's user, nor leaves the session as somebody else.
sql_value($node, q{
	CREATE FUNCTION s.deploy(version text, script text) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'BEGIN RETURN tapmig.apply(version, script); END'});
sql_value($node, 'ALTER FUNCTION s.deploy OWNER TO deployer');
my $app = session($node, user => 'app');
my $n = 100;
for my $script (
	'RESET ROLE', 'SET ROLE NONE', 'SET ROLE team', 'SET LOCAL ROLE team', q{SELECT set_config('role', 'none', true)},
	'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION DEFAULT', 'SET LOCAL SESSION AUTHORIZATION app',
	q{SELECT set_config('session_authorization', 'app', false)}, 'RESET ALL', 'SET ROLE team; RESET ROLE',
	q{DO $$ BEGIN RESET ROLE; END $$}, qq{DO \$\$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION $root_name'; END \$\$})
{
	for my $end ('', '; ALTER ROLE app SUPERUSER', '; SELECT pg_read_file($$PG_VERSION$$)')
	{
		my $r = $app->try(q{SELECT s.deploy($1, $2)}, bind => [ ++$n, "$script$end; CREATE TABLE s.by_$n ()" ]);

		if ($r->{ok})
		{
			is("$end|" . sql_value($node, "SELECT tableowner FROM pg_tables WHERE tablename = 'by_$n'"), '|deployer', "$script: changes nothing");
		}
		else { is($r->{sqlstate}, '42501', "$script$end: refused") or diag $r->{message}; }
		is($app->try(q{SELECT current_user || session_user})->{value}, 'appapp', 'and the session is what it was');
	}
}
is(sql_value($node, 'SELECT count(*) FROM pg_roles WHERE rolsuper'), 1, 'nobody became a superuser');

# A deployer's script in all its shapes: RESET ROLE ends the SET ROLE of the caller,
# whom it belongs to; nothing makes him more than he is.
my $deployer = session($node, user => 'deployer');
for my $script (
	"SET SESSION AUTHORIZATION $root_name", "SET ROLE $root_name", 'SET session_replication_role = replica', 'SET allow_system_table_mods = on',
	'ALTER SYSTEM SET work_mem = 1000', "ALTER ROLE $root_name SET search_path = s", 'ALTER ROLE ALL SET search_path = s',
	'ALTER FUNCTION tapmig.version_key(text) SET search_path = s', 'ALTER EXTENSION tapmig ADD TABLE s.t',
	'ALTER TABLE tapmig.history DISABLE TRIGGER ALL', 'CREATE TABLE s.child () INHERITS (tapmig.history)',
	'CREATE TABLE s.ref (v text, w text, FOREIGN KEY (v, w) REFERENCES tapmig.schema_migrations)',
	'COPY s.t TO PROGRAM $$true$$', 'INSERT INTO tapmig.schema_migrations (version) VALUES ($$1$$)', 'SELECT * FROM tapmig.scripts',
	'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION tapmig.trigger_insert()', 'SELECT setval($$tapmig.history_seq$$, 1)',
	"ALTER DEFAULT PRIVILEGES FOR ROLE $root_name GRANT ALL ON TABLES TO deployer")
{
	for my $call (q{SELECT tapmig.apply($1, $2)}, q{CALL tapmig.run($1, $2)})
	{
		my $r = $deployer->try($call, bind => [ ++$n, $script ]);

		ok(!$r->{ok} && $r->{sqlstate} =~ /^(?:42501|55000|42P17|TM003)$/, "$script: refused") or diag explain $r;
	}
	my $r = $deployer->try(q{CALL tapmig.run($1, $2)}, bind => [ ++$n, "VACUUM s.t; $script" ]);
	ok(!$r->{ok} && $r->{sqlstate} =~ /^(?:42501|55000|42P17|25001)$/, "$script: in the worker too") or diag explain $r;
}
is($deployer->try('SELECT current_user || session_user')->{value}, 'deployerdeployer', 'he is himself');

# What a superuser's finished step SET does not make a deployer who resumes it more
# than he is; nor does a deployer's step do anything to the superuser.
{
	my $script = "SET session_replication_role = replica;\nVACUUM s.t;\nSELECT 1/(SELECT count(*) FROM s.t WHERE i < 0)";
	my $root = session($node);

	is_error($root->try(q{CALL tapmig.run('900', $1)}, bind => [$script]), '22012', undef, 'a step that fails');
	my $r = $deployer->try(q{CALL tapmig.run('900', $1)}, bind => [$script]);
	is($r->{sqlstate}, '42501', 'resumed by a deployer: the setting is not his') or diag explain $r;

	$script = "SET ROLE team;\nVACUUM;\nCREATE TABLE s.made AS SELECT current_user AS who, 1/(SELECT count(*) FROM s.gate) AS one";
	sql_value($node, $_) for ('CREATE TABLE s.gate (i int)', 'GRANT SELECT ON s.gate TO team');
	is_error($deployer->try(q{CALL tapmig.run('901', $1)}, bind => [$script]), '22012', undef, 'likewise a deployer\'s');
	sql_value($node, 'INSERT INTO s.gate VALUES (1)');
	$r = $root->try(q{CALL tapmig.run('901', $1)}, bind => [$script]);
	is($r->{value}, 'applied', 'a superuser resumes it') or diag $r->{message};
	is(sql_value($node, 'SELECT who FROM s.made'), 'team', 'in the role that the script chose');
	is($root->try('SELECT current_user')->{value}, sql_value($node, 'SELECT current_user'), 'and stays himself');
}

# What a step SET by a function is what the function's owner wanted: a deployer who had
# the script find a table of his own sets no search_path of a superuser's. What the
# script says itself goes on as it says.
{
	my $root = session($node);
	my $plain = "INSERT INTO log VALUES ('begin');\nVACUUM pg_class;\nINSERT INTO log VALUES ('end');\n";

	sql_value($node, $_) for ('CREATE SCHEMA own', 'CREATE TABLE own.log (what text)', 'CREATE TABLE own.gate (i int)',
		'CREATE TABLE trapped (who text)', 'GRANT ALL ON trapped TO PUBLIC', 'CREATE SCHEMA evil AUTHORIZATION deployer',
		'GRANT USAGE ON SCHEMA own TO PUBLIC', 'GRANT ALL ON ALL TABLES IN SCHEMA own TO PUBLIC', 'INSERT INTO own.gate VALUES (1)', 'GRANT USAGE, CREATE ON SCHEMA evil TO PUBLIC');
	is($deployer->try($_)->{ok}, 1, 'a trap') for ('CREATE TABLE evil.log (what text)',
		q{CREATE FUNCTION evil.trap() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				INSERT INTO public.trapped VALUES (current_user);
				IF NEW.what = 'end' AND current_user = 'deployer' THEN RAISE 'not by me'; END IF;
				PERFORM set_config('search_path', 'evil, pg_catalog', false);
				RETURN NEW;
			END $$},
		'CREATE TRIGGER trap BEFORE INSERT ON evil.log FOR EACH ROW EXECUTE FUNCTION evil.trap()', 'SET search_path = evil, public, pg_catalog');
	$root->try('SET search_path = own, public, pg_catalog');

	is_error($deployer->try(q{CALL tapmig.run('902', $1)}, bind => [$plain]), 'P0001', undef, 'the trap is set');
	my $r = $root->try(q{CALL tapmig.run('902', $1)}, bind => [$plain]);
	is_error($r, '42501', qr/^migration 902 cannot go on with what role "deployer" has set$/, 'a superuser does not go on with it');
	is($r->{detail}, 'The script itself does not set it so: search_path.', 'it says what');
	like($r->{hint}, qr/^As role "deployer" it can go on; SELECT tapmig\.abandon\('902', why\) to begin at step 1 again/, 'and how to go on');
	is($root->try(q{CALL tapmig.run('902', $1)}, bind => [$plain])->{sqlstate}, '42501', 'nor the second time');
	is(rows_of($node, q{SELECT DISTINCT who FROM trapped}), 'deployer', 'no trap was sprung with the rights of another');
	is(rows_of($node, q{SELECT DISTINCT by_user FROM tapmig.attempts WHERE version = '902'}), 'deployer', 'there is no attempt of the superuser');
	is($root->try(q{SELECT tapmig.abandon('902', 'a trap')})->{ok}, 1, 'given up');
	$r = $root->try(q{CALL tapmig.run('902', $1)}, bind => [$plain]);
	is($r->{value}, 'applied', 'it begins again') or diag $r->{message};
	is(rows_of($node, 'SELECT what FROM own.log'), "begin\nend", 'and does what it says');

	# What the script sets, and the session of the first try had already
	my $v = 902;
	for my $set ("SET search_path = own, pg_catalog", "SELECT pg_catalog.set_config('search_path', 'own, pg_catalog', false)",
		"SET search_path = evil; SET SESSION search_path TO own, pg_catalog", "SET search_path = own; SELECT pg_catalog.set_config('search_path', 'own, pg_catalog', 'f')")
	{
		my $said = "$set;\nSET ROLE team;\n" . ($plain =~ s/VALUES \('end'\)/SELECT 'end' FROM gate/r);

		$v++;
		is($deployer->try($_)->{ok}, 1, $_) for ('SET search_path = own, pg_catalog', 'SET ROLE team');
		sql_value($node, $_) for ('TRUNCATE own.log', 'ALTER TABLE own.gate RENAME TO gate_later');
		is_error($deployer->try(q{CALL tapmig.run($1, $2)}, bind => [ $v, $said ]), '42P01', undef, "$set: is set already");
		sql_value($node, 'ALTER TABLE own.gate_later RENAME TO gate');
		$root->try('SET search_path = evil, pg_catalog');
		$r = $root->try(q{CALL tapmig.run($1, $2)}, bind => [ $v, $said ]);
		is($r->{value}, 'applied', "$set: another session goes on with it") or diag $r->{message};
		is(rows_of($node, 'SELECT what FROM own.log'), "begin\nend", "$set: where the first began");
		is(rows_of($node, q{SELECT DISTINCT who FROM trapped}), 'deployer', "$set: no trap was sprung with the rights of another");
	}
	$deployer->try('RESET ROLE');
}

# -------------------------------------------------- a session and another's worker

{
	my $holder = holder($node, user => 'app');
	my $runner = session($node, user => 'deployer');
	start_run($runner, '910', 'CREATE INDEX CONCURRENTLY i ON s.t (i)');
	my $pid = worker_pid($node);

	ok(wait_build($node), 'a worker builds');
	for my $sql ("SELECT pg_cancel_backend($pid)", "SELECT pg_terminate_backend($pid)",
		q{SELECT tapmig.abandon('910', 'why')}, q{SELECT tapmig.step_done('910', 1, 'why')}, q{SELECT tapmig.register('910')},
		q{SELECT * FROM tapmig.running}, q{SELECT * FROM tapmig.attempts}, q{SELECT tapmig.holder()})
	{
		is_error($app->try($sql), '42501', undef, "not by an application: $sql");
	}
	is($app->try("SELECT query FROM pg_stat_activity WHERE pid = $pid")->{value}, '<insufficient privilege>', 'nor does it see what runs');

	# Who is shown the view sees of it what pg_stat_activity shows.
	sql_value($node, $_) for ('GRANT SELECT ON tapmig.running TO app', 'GRANT EXECUTE ON FUNCTION tapmig.holder TO app');
	my $r = $app->try('SELECT track, version, query FROM tapmig.running');
	is_deeply($r->{rows}[0] // [ $r->{message} ], [ 'main', '910', '<insufficient privilege>' ], 'or through the view') or diag explain $r;
	sql_value($node, $_) for ('REVOKE SELECT ON tapmig.running FROM app', 'REVOKE EXECUTE ON FUNCTION tapmig.holder FROM app');

	# A NOTICE to the deployer says who is waited for, and not since when another
	# role's transaction is open. It comes when ten seconds are over.
	bounded(60, 'a word of progress comes', sub { return !$runner->busy || grep { /it waits for process/ } @{ $runner->{notices} } });
	ok($runner->busy, 'a word of progress came, and the build waits still');

	# Locks that everybody may take are others, and so is reading the ledger.
	is($app->try($_)->{ok}, 1, 'an application holds what it can') for (
		'BEGIN', 'LOCK TABLE tapmig.schema_migrations IN ACCESS SHARE MODE',
		q{SELECT pg_advisory_xact_lock(oid::int, i) FROM pg_extension, generate_series(-3, 3) i WHERE extname = 'tapmig'},
		q{SELECT pg_advisory_lock((oid::bigint << 32) + i) FROM pg_extension, generate_series(0, 5) i WHERE extname = 'tapmig'});
	$holder->try('ROLLBACK');
	$r = $runner->finish;
	is($r->{value}, 'applied', 'the build ends');
	my ($waits) = grep { /it waits for process/ } @{ $r->{notices} };
	like($waits // '', qr/it waits for process \d+ \(application "[^"]*"\)\s*$/, 'it said whom it waited for');
	is($deployer->try(q{SELECT tapmig.apply('911', 'SELECT 1')})->{value}, 'applied', 'and others go on');
	$app->try('ROLLBACK');
	$app->try('SELECT pg_advisory_unlock_all()');
}

# -------------------------------- names in statements that a repair is made of

{
	my $table = '"t\'; DROP TABLE s.gate; --"';
	my $index = '"i""; DROP TABLE s.gate; --"';
	my $root = session($node);

	sql_value($node, "CREATE TABLE s.$table AS SELECT i % 2 AS i FROM generate_series(1, 4) i");
	my $script = "CREATE UNIQUE INDEX CONCURRENTLY $index ON s.$table (i)";
	is_error($root->try(q{CALL tapmig.run('920', $1)}, bind => [$script]), '23505', undef, 'a build that leaves an INVALID index');
	sql_value($node, "DELETE FROM s.$table WHERE ctid > '(0,2)'");
	my $r = $root->try(q{CALL tapmig.run('920', $1)}, bind => [$script]);
	is($r->{value}, 'applied', 'which the next drops, whatever it is called') or diag explain $r;
	like("@{ $r->{notices} }", qr/dropping the invalid index/, 'and says so');
	is(sql_value($node, 'SELECT count(*) FROM s.gate'), 1, 'and nothing else');
}

# ----------------------------------------------- a database's owner, no superuser

sql_value($node, 'CREATE ROLE dbo LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER dbo');
$node->safe_psql('owned', 'CREATE EXTENSION tapmig');
my $dbo = session($node, dbname => 'owned', user => 'dbo');
for my $sql (
	'DROP EXTENSION tapmig', 'ALTER EXTENSION tapmig UPDATE', 'DROP SCHEMA tapmig CASCADE', 'ALTER SCHEMA tapmig OWNER TO dbo',
	'GRANT ALL ON SCHEMA tapmig TO dbo', 'CREATE TABLE tapmig.t ()', 'SELECT * FROM tapmig.scripts',
	'INSERT INTO tapmig.schema_migrations (version) VALUES (1)', 'TRUNCATE tapmig.history', q{SELECT tapmig.apply('1', 'SELECT 1')},
	"REASSIGN OWNED BY $root_name TO dbo", 'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION tapmig.trigger_insert()',
	'ALTER DATABASE owned SET session_replication_role = replica')
{
	my $r = $dbo->try($sql);
	# GRANT without the right to it is a WARNING.
	ok((!$r->{ok} && $r->{sqlstate} =~ /^(?:42501|2BP01)$/) || ($sql =~ /^GRANT/ && "@{ $r->{notices} }" =~ /no privileges were granted/),
		"an owner of the database may not: $sql") or diag explain $r;
}

# His is the search_path of all sessions: tapmig's own statements don't take it,
# neither in the server nor in the runner.
my @traps;
for my $type (qw(text int4 int8 numeric jsonb time bool timestamptz))
{
	for my $op ('=', '<>', '<', '>', '>=', '<=', '-', '*', '||')
	{
		my $returns = $op =~ /[-*|]/ ? $type : 'boolean';
		my $name = "trap_${type}_" . @traps;

		push @traps, "CREATE FUNCTION evil.$name(a $type, b $type) RETURNS $returns LANGUAGE plpgsql AS "
		  . "'BEGIN PERFORM evil.sprung(current_user); RETURN " . ($returns eq 'boolean' ? 'true' : 'a') . "; END'",
		  "CREATE OPERATOR evil.$op (leftarg = $type, rightarg = $type, function = evil.$name)";
	}
}
for my $sql ('CREATE SCHEMA evil', 'CREATE TABLE evil.trapped (who text)',
	q{CREATE FUNCTION evil.sprung(who text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
		AS 'INSERT INTO evil.trapped VALUES (who)'},
	'GRANT ALL ON SCHEMA evil TO PUBLIC', @traps,
	q{CREATE FUNCTION evil.concat(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM evil.sprung(current_user); RETURN NULL; END'},
	q{CREATE FUNCTION evil.round(numeric) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN PERFORM evil.sprung(current_user); RETURN 0; END'},
	'ALTER DATABASE owned SET search_path = evil, pg_catalog')
{
	my $r = $dbo->try($sql);
	is($r->{ok}, 1, 'a trap') or diag "$sql: $r->{message}";
}
{
	my $s = session($node, dbname => 'owned');
	$s->try(q{SELECT 'a'::text = 'b'::text});
	is($s->try('SELECT pg_catalog.count(*) FROM evil.trapped')->{value}, 1, 'a trap that works') or BAIL_OUT('no trap');
	$s->try('TRUNCATE evil.trapped');

	my $dir = migrations_dir({ '001_a.sql' => 'CREATE TABLE public.a (i int)', '002_b.sql' => 'VACUUM public.a', '003_c.sql' => 'CREATE TABLE public.c (i int)' });
	for my $args ([ 'status' ], [ 'plan' ], [ 'plan', '--json' ], [ 'lint' ], [ 'up', '--force-empty', '--to', '001' ],
		[ 'up', '--json', '--to', '002' ], [ 'up', '--window', '00:00-23:59' ], [ 'up' ],
		[ 'register', '010' ], [ 'withdraw', '010', '--why', 'x' ], [ 'baseline', '003' ], [ 'require', '001' ], [ 'wait', '001' ],
		[ 'dump', '--out', '-' ], [ 'status', '--json' ])
	{
		my ($exit, $out, $err) = run_tapmig($node, [ @$args, $args->[0] =~ /register|withdraw|require|wait/ ? () : ('--dir', $dir) ], dbname => 'owned');

		like($exit, qr/^[06]$/, "tapmig @$args") or diag $err;
		is($s->try('SELECT pg_catalog.count(*) FROM evil.trapped')->{value}, 0, 'springs no trap') or $s->try('TRUNCATE evil.trapped');
	}
	is($s->try($_->[0])->{value}, $_->[1], $_->[0]) for (
		[ q{SELECT tapmig.apply('004', 'CREATE TABLE public.d (i int)')}, 'applied' ], [ q{CALL tapmig.run('005', 'VACUUM public.a')}, 'applied' ],
		[ q{CALL tapmig.run('006', 'CREATE INDEX CONCURRENTLY ON public.a (i)')}, 'applied' ], [ q{SELECT tapmig.is_applied('006')}, 't' ],
		[ 'SELECT pg_catalog.count(*) FROM tapmig.verify()', 0 ], [ 'SELECT pg_catalog.count(*) FROM evil.trapped', 0 ]);
}

done_testing();
