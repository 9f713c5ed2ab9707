# Who may do what: PUBLIC, a monitor, a deployer, the owner, a superuser; and that
# nobody forges the ledger.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_value($node, $_) for (
	'CREATE ROLE nobody_much LOGIN', 'CREATE ROLE monitor LOGIN', 'GRANT pg_monitor TO monitor',
	'CREATE ROLE deployer LOGIN', 'CREATE ROLE team NOLOGIN', 'GRANT team TO deployer',
	'CREATE ROLE corrector LOGIN', 'CREATE SCHEMA app', 'GRANT ALL ON SCHEMA app TO deployer, team',
	'REVOKE CREATE ON SCHEMA public FROM PUBLIC',
	'GRANT EXECUTE ON PROCEDURE tapmig.run TO deployer',
	'GRANT EXECUTE ON FUNCTION tapmig.apply, tapmig.register, tapmig.plan, tapmig.statements TO deployer',
	'GRANT EXECUTE ON FUNCTION tapmig.accept, tapmig.withdraw TO corrector');

my @roles = qw(nobody_much monitor deployer corrector);

sub session_of { return session($node, user => $_[0]); }

apply($node, '001_first', 'CREATE TABLE public.first ()');
run($node, '999_bad', 'SELECT 1/0', track => 'bad');
sql_value($node, q{SELECT tapmig.register('002_second', 'SELECT 2')});

# Calls and reads, and who may; * is everybody.
my @calls = (
	[ '*',        q{SELECT tapmig.is_applied('001')} ],
	[ '*',        q{SELECT tapmig.require('001')} ],
	[ '*',        q{CALL tapmig.wait_for('001')} ],
	[ '*',        q{SELECT tapmig.version_key('001')} ],
	[ '*',        q{SELECT version, applied_at, source FROM tapmig.schema_migrations ORDER BY version DESC LIMIT 5} ],
	[ 'monitor',  q{SELECT * FROM tapmig.history} ],
	[ 'monitor',  q{SELECT * FROM tapmig.attempts} ],
	[ 'monitor',  q{SELECT * FROM tapmig.verify()} ],
	[ '',         q{SELECT * FROM tapmig.scripts} ],
	[ 'deployer', q{SELECT tapmig.apply('001_first', 'CREATE TABLE public.first ()')} ],
	[ 'deployer', q{CALL tapmig.run('001_first', 'CREATE TABLE public.first ()')} ],
	[ 'deployer', q{SELECT tapmig.register('001')} ],
	[ 'deployer', q{SELECT * FROM tapmig.plan(ARRAY['001', '002'])} ],
	[ 'deployer', q{SELECT * FROM tapmig.statements('SELECT 1')} ],
	[ 'corrector', q{BEGIN; SELECT tapmig.accept('001', 'CREATE TABLE public.first (i int)', 'why'); ROLLBACK} ],
	[ 'corrector', q{BEGIN; SELECT tapmig.withdraw('002', 'why'); ROLLBACK} ],
	map { [ '', $_ ] } (
		q{INSERT INTO tapmig.schema_migrations (version) VALUES ('003')},
		q{INSERT INTO tapmig.schema_migrations (track, version, kind) VALUES ('main', '003', 'applied')},
		q{INSERT INTO tapmig.history (seq, track, version, event, at, by_user) VALUES (99, 'main', '003', 'applied', now(), current_user)},
		q{INSERT INTO tapmig.scripts VALUES (sha256('x'), 'x')},
		q{INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done) VALUES ('main', '1', now(), 'applied', 1, 1)},
		q{UPDATE tapmig.schema_migrations SET source = 'x'},
		q{DELETE FROM tapmig.schema_migrations},
		q{DELETE FROM tapmig.history},
		q{TRUNCATE tapmig.schema_migrations},
		q{SELECT nextval('tapmig.history_seq')},
		q{SELECT setval('tapmig.history_seq', 1)},
		q{SELECT * FROM tapmig.schema_migrations FOR UPDATE},
		q{BEGIN; LOCK tapmig.schema_migrations IN ACCESS EXCLUSIVE MODE},
		q{ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL},
		q{CREATE TRIGGER t AFTER INSERT ON tapmig.schema_migrations EXECUTE FUNCTION suppress_redundant_updates_trigger()},
		q{CREATE TABLE tapmig.mine ()},
		q{DROP EXTENSION tapmig}));

for my $call (@calls)
{
	my ($who, $sql) = @$call;
	my $short = length $sql > 60 ? substr($sql, 0, 57) . '...' : $sql;

	for my $role (@roles)
	{
		my $r = sql_try($node, $sql, user => $role);

		if ($who eq '*' || $who eq $role) { is($r->{ok}, 1, "$role may: $short") or diag($r->{message}); }
		else { is_error($r, '42501', undef, "$role may not: $short"); }
	}
}
sql_value($node, 'CREATE TABLE app.target (i int)');
for my $role (@roles)
{
	is_error(sql_try($node, 'CREATE TRIGGER t BEFORE INSERT ON app.target FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_insert()', user => $role),
		'42501', undef, "$role may not use tapmig's trigger functions");
}
verify_is_clean($node, 'after all that');

# A deployer's script runs with the deployer's rights; the ledger is written all
# the same.
my $d = session_of('deployer');
is($d->try(q{SELECT tapmig.apply('010', 'CREATE TABLE app.mine AS SELECT current_user AS who')})->{value}, 'applied', 'a deployer applies');
is(sql_value($node, q{SELECT tableowner FROM pg_tables WHERE tablename = 'mine'}), 'deployer', 'as himself');
is(sql_value($node, 'SELECT who FROM app.mine'), 'deployer', 'current_user is his');
is($d->try(q{CALL tapmig.run('011', 'INSERT INTO app.mine SELECT current_user')})->{value}, 'applied', 'and runs');
is($d->try(q{SELECT tapmig.register('012', 'SELECT 12')})->{value}, 'registered', 'and registers');
is($d->try('SELECT current_user')->{value}, 'deployer', 'and is himself after it');
for my $call ('SELECT tapmig.apply(%s)', 'CALL tapmig.run(%s)')
{
	for my $script (
		'CREATE TABLE public.x ()', 'ALTER TABLE public.first ADD i int', 'SELECT pg_read_file($$PG_VERSION$$)',
		'SET ROLE monitor', 'ALTER ROLE deployer SUPERUSER', "COPY app.mine FROM '/etc/passwd'",
		"COPY public.first FROM stdin;\n\\.\n")
	{
		my $r = $d->try(sprintf($call, "'020', " . quoted($script)));
		is_error($r, '42501', undef, "$call: $script");
		like($r->{hint} // '', qr/role "deployer"/, 'the hint names the role')
		  unless $script =~ /^SET|passwd/;    # PostgreSQL has a hint of its own
	}
}
$d->try('DELETE FROM app.mine');
is(sql_value($node, q{SELECT count(*) FROM tapmig.attempts WHERE version = '020' AND sqlstate = '42501'}), 7,
	'the failed runs are recorded with the owner\'s rights');
is($d->try('SELECT current_user')->{value}, 'deployer', 'an error leaves him himself');

# Who did it: session_user and current_user
sub by
{
	return join '/', @{ sql_try($node, "SELECT applied_by, applied_as FROM tapmig.schema_migrations WHERE version = '$_[0]'")->{rows}[0] };
}

is(by('010'), 'deployer/deployer', 'applied_by, applied_as');
$d->try('SET ROLE team');
is($d->try(q{SELECT current_user})->{value}, 'team', 'as a member of the team');
is_error($d->try(q{SELECT tapmig.apply('021', 'SELECT 1')}), '42501', undef, 'the team has no rights of its own');
sql_value($node, 'GRANT EXECUTE ON FUNCTION tapmig.apply TO team');
sql_value($node, 'GRANT EXECUTE ON PROCEDURE tapmig.run TO team');
is($d->try(q{SELECT tapmig.apply('021', 'CREATE TABLE app.of_team AS SELECT session_user AS s, current_user AS c')})->{value}, 'applied', 'with them');
is(by('021'), 'deployer/team', 'session_user and current_user are recorded');
is(sql_value($node, q{SELECT by_user FROM tapmig.history WHERE version = '021'}), 'deployer', 'session_user in the history');
is(sql_value($node, q{SELECT tableowner || s || c FROM pg_tables, app.of_team WHERE tablename = 'of_team'}), 'teamdeployerteam', 'the script ran as the team');
is($d->try(q{CALL tapmig.run('022', 'CREATE TABLE app.of_team_2 ()')})->{value}, 'applied', 'run likewise');
is(by('022'), 'deployer/team', 'and recorded');
is($d->try('SELECT current_user')->{value}, 'team', 'the role stays');
$d->try('RESET ROLE');

# SET ROLE in the script ends with it.
my $n_scripts = 0;
for my $script ('SET ROLE team; CREATE TABLE app.%s ()', 'SET LOCAL ROLE team; CREATE TABLE app.%s ()',
	q{SELECT set_config('role', 'team', false); CREATE TABLE app.%s ()})
{
	for my $call (q{SELECT tapmig.apply('%s', %s)}, q{CALL tapmig.run('%s', %s)})
	{
		my $version = '03' . ++$n_scripts;
		my $name = sprintf($call, $version, '...') . ": $script";

		is($d->try(sprintf($call, $version, quoted(sprintf($script, "by_$version"))))->{value}, 'applied', $name);
		is(sql_value($node, "SELECT tableowner FROM pg_tables WHERE tablename = 'by_$version'"), 'team', 'it was the team');
		is($d->try('SELECT current_user')->{value}, 'deployer', 'he is himself again');
		is(by($version), 'deployer/deployer', 'he applied it');
	}
}
is_error($d->try(q{SELECT tapmig.apply('040', 'SET ROLE team; SELECT 1/0')}), '22012', undef, 'an error after SET ROLE');
is($d->try('SELECT current_user')->{value}, 'deployer', 'he is himself again');
is_error($d->try(q{CALL tapmig.run('040', 'SET ROLE team; SELECT 1/0')}), '22012', undef, 'likewise under run');
is($d->try('SELECT current_user')->{value}, 'deployer', 'he is himself again');

# A SECURITY DEFINER function that calls apply
sql_value($node, q{
	CREATE FUNCTION public.deploy(version text, script text) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'BEGIN RETURN tapmig.apply(version, script); END'});
sql_value($node, 'ALTER FUNCTION public.deploy OWNER TO deployer');
my $n = session_of('nobody_much');
is($n->try(q{SELECT deploy('050', 'CREATE TABLE app.deployed ()')})->{value}, 'applied', 'through a SECURITY DEFINER function');
is(by('050'), 'nobody_much/deployer', 'who called it, and as whom');
is(sql_value($node, q{SELECT tableowner FROM pg_tables WHERE tablename = 'deployed'}), 'deployer', 'with its owner\'s rights');
is_error($n->try(q{SELECT deploy('051', 'SET ROLE team')}), '42501', undef, 'SET ROLE is refused there');
is_error($n->try(q{SELECT deploy('051', 'CREATE TABLE public.x ()')}), '42501', undef, 'and no more than its rights');
is($n->try('SELECT current_user')->{value}, 'nobody_much', 'the caller is himself');
is_error($n->try(q{SELECT tapmig.apply('052', 'SELECT 1')}), '42501', undef, 'and may not apply himself');

# In a security-restricted operation: refused
sql_value($node, q{CREATE FUNCTION app.trap() RETURNS text LANGUAGE sql AS $$ SELECT tapmig.apply('060', 'CREATE TABLE app.trapped ()') $$});
is_error(sql_try($node, 'CREATE MATERIALIZED VIEW app.trap_view AS SELECT app.trap()'), '55000', qr/security-restricted/,
	'apply in a materialized view');
sql_value($node, q{CREATE FUNCTION app.itrap(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM app.trap(); RETURN i; END'});
sql_value($node, 'INSERT INTO app.target VALUES (1)');
is_error(sql_try($node, 'CREATE INDEX ON app.target (app.itrap(i))'), '55000', qr/security-restricted/, 'and in an index');

# The superuser does not change the past either.
for my $table (qw(schema_migrations history scripts attempts))
{
	my @commands = ("TRUNCATE tapmig.$table", "TRUNCATE tapmig.$table CASCADE");
	push @commands, "DELETE FROM tapmig.$table", "DELETE FROM tapmig.$table WHERE false",
	  "UPDATE tapmig.$table SET version = version", "UPDATE tapmig.$table SET version = '1' WHERE false"
	  if $table =~ /^(?:schema_migrations|history)$/;
	push @commands, q{INSERT INTO tapmig.schema_migrations (version) VALUES ('001') ON CONFLICT (track, version) DO UPDATE SET source = 'x'},
	  q{MERGE INTO tapmig.schema_migrations m USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE},
	  q{WITH d AS (DELETE FROM tapmig.schema_migrations RETURNING 1) SELECT count(*) FROM d}
	  if $table eq 'schema_migrations';
	for my $command (@commands)
	{
		is_error(sql_try($node, $command), 'TM010', undef, "superuser: $command");
		is_error(sql_try($node, "SET session_replication_role = replica; $command"), 'TM010', undef, 'and as a replica');
	}
}
is_error(sql_try($node, q{INSERT INTO tapmig.history (seq, track, version, event, at, by_user)
	VALUES (99999, 'main', '003', 'applied', now(), current_user)}), 'TM010', undef, 'superuser: an event without its chain');
verify_is_clean($node, 'in the end');

# What the superuser can forge is found.
for my $forged (
	q{INSERT INTO tapmig.schema_migrations (track, version, kind, applied_at, source, applied_by, applied_as, out_of_order)
		VALUES ('main', '777', 'applied', now(), 'x', 'x', 'x', false)},
	q{ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL; UPDATE tapmig.schema_migrations SET applied_by = 'x' WHERE version = '010';
		ALTER TABLE tapmig.schema_migrations ENABLE TRIGGER ALL},
	q{INSERT INTO tapmig.history (seq, track, version, event, at, by_user, chain)
		VALUES (99999, 'main', '003', 'applied', now(), current_user, '\x00')})
{
	my $s = session($node);
	$s->try('BEGIN');
	my $r = $s->try($forged);
	is($r->{ok}, 1, 'forged by the superuser') or diag($r->{message});
	cmp_ok($s->try(q{SELECT count(*) FROM tapmig.verify() WHERE problem !~ '^trigger '})->{value}, '>', 0, 'verify() finds it');
	$s->try('ROLLBACK');
}

done_testing();
