# A streaming standby has all that the primary's ledger has, at each point of it,
# and answers like it. What writes is refused there, with the way out, by the
# functions and by the runner.

use strict;
use warnings;

use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $primary = tapmig_node('primary', init => [ allows_streaming => 1 ], conf => "autovacuum = off\nwal_receiver_status_interval = 1\n");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my %script = (
	'001_table.sql' => 'CREATE TABLE item AS SELECT g AS a, g AS b FROM generate_series(1, 20000) g; ANALYZE item;',
	'002_index.sql' => "SET search_path = public;\nCREATE INDEX CONCURRENTLY item_a ON item (a);\nINSERT INTO item VALUES (0, 0);\n",
	'003_once.sql'  => "VACUUM item;\nDO \$\$BEGIN COMMIT; PERFORM pg_advisory_lock(4711); PERFORM 1/0; END\$\$;\n",
	'004_more.sql'  => "-- tapmig: loses=item.b, approved-by=\"a test\"\nALTER TABLE item DROP COLUMN b;\nCREATE INDEX item_aa ON item (a);\n");
my $dir = migrations_dir(\%script);

# What the ledger says, in tables, views and functions. A time of now is left out.
sub ledger
{
	my ($node) = @_;
	my $plan = q{SELECT * FROM tapmig.plan(ARRAY['000', '000.2', '001_table', '002_index', '003_once', '004_more', '005'])};
	return {
		map {
			my $r = sql_try($node, $_);
			($_ => $r->{ok} ? $r->{rows} : "$r->{sqlstate} $r->{message}")
		} (
			(map { "SELECT x::text FROM tapmig.$_ x ORDER BY 1" } qw(schema_migrations history scripts attempts)),
			$plan, 'SELECT * FROM tapmig.verify()', 'SELECT * FROM tapmig.health ORDER BY track',
			'SELECT tapmig.report() - $$now$$', 'SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indexrelid >= 16384 ORDER BY 1')
	};
}

sub follows
{
	my ($what, %but) = @_;
	$primary->wait_for_catchup($standby);
	my ($here, $there) = (ledger($primary), ledger($standby));
	delete @$_{ keys %but } for $here, $there;
	is_deeply($there, $here, "$what: the standby says what the primary says") or diag explain $there;
	return;
}

sub runner
{
	my ($node, @arguments) = @_;
	my ($exit, $out, $err) = run_tapmig($node, [ @arguments, '--dir', $dir ]);
	return { exit => $exit, out => $out, err => $err, all => "$out$err" };
}

# Everything that writes the ledger
is(runner($primary, 'up', '--to', '1')->{exit}, 0, 'up to 001');
follows('applied');
is(sql_value($standby, 'SELECT count(*) FROM item'), 20000, 'with the data');
is(apply($primary, '0.5_second_track', 'CREATE TABLE other ()', track => 'other')->{value}, 'applied', 'apply, on another track');
is(apply($primary, '001_table', "$script{'001_table.sql'} -- more")->{value}, 'skipped', 'another layout');
is_error(apply($primary, '001_table', 'SELECT 1'), 'TM001', undef, 'other content');
sql_value($primary, q{SELECT tapmig.register('000', 'SELECT 0')});
sql_value($primary, q{SELECT tapmig.register('000.1')});
sql_value($primary, q{SELECT tapmig.withdraw('000.1', 'it was not')});
sql_value($primary, q{SELECT tapmig.accept('000', 'SELECT 00', 'better')});
is(sql_try($primary, q{INSERT INTO tapmig.schema_migrations (version) VALUES ('000.2')})->{ok}, 1, 'a row by hand');
is_error(run($primary, '000.3', 'SELECT 1/0'), '22012', undef, 'a failed try');
follows('register, withdraw, accept, by hand, failed');

# A stepwise run, stopped in its index build, and then under way
my $holder = holder($primary);
my $r = start_tapmig($primary, [ 'up', '--to', '2', '--dir', $dir ]);
ok(wait_build($primary), 'the index build waits on the primary');
$primary->wait_for_catchup($standby);
is(sql_value($standby, 'SELECT indisvalid FROM pg_index WHERE indexrelid = $$item_a$$::regclass'), 'f', 'the standby has the INVALID index');
is(rows_of($standby, 'SELECT track, version, step, steps, step_running, state, phase FROM tapmig.running'), 'main|002|2|3|2||', 'running: as recorded');
is(rows_of($standby, q{SELECT applied, failed, interrupted, running_since IS NOT NULL, ledger_ok FROM tapmig.health WHERE track = 'main'}),
	'3|1|0|t|t', 'health: under way, not interrupted');
is(rows_of($standby, q{SELECT state, action FROM tapmig.plan(ARRAY['000', '000.2', '001_table', '002_index']) WHERE version > '001'}), "running|wait", 'plan: running');
like(runner($standby, 'status')->{out}, qr/^002 +index +running/m, 'status: running');
my $gate = session($standby);
$gate->start(q{CALL tapmig.wait_for('002')});
ok(wait_event($standby, $gate->pid, 'Extension'), 'wait_for waits on the standby');
my $waiting = start_tapmig($standby, [ 'wait', '2' ]);
ok(wait_until($standby, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL tapmig.wait_for%' AND pid <> @{[ $gate->pid ]} AND wait_event = 'Extension'"),
	'so does the runner');
is(runner($standby, 'require', '2')->{exit}, 6, 'require is closed');
$primary->psql('postgres', "SELECT pg_terminate_backend(@{[ worker_pid($primary) ]})");
isnt(($r->finish)[0], 0, 'the run is stopped');
follows('interrupted');
is(rows_of($standby, q{SELECT state, action FROM tapmig.plan(ARRAY['000', '000.2', '001_table', '002_index']) WHERE version > '001'}), "interrupted|resume", 'plan: interrupted');
is(sql_value($standby, q{SELECT interrupted FROM tapmig.health WHERE track = 'main'}), 1, 'health: interrupted');
is(sql_value($standby, 'SELECT count(*) FROM tapmig.running'), 0, 'nothing is running');
ok($gate->busy, 'the gate is closed still');
$holder->close;
is(runner($primary, 'up', '--to', '2')->{exit}, 0, 'resumed');
follows('resumed');
is($gate->finish->{ok}, 1, 'the gate is open');
is(($waiting->finish)[0], 0, "the runner's too");
is(valid($standby, 'item_a'), 't', 'the index is valid on the standby');

# Abandoned, and a step that a human has seen
like(runner($primary, 'up', '--to', '3')->{err}, qr/stopped in its middle/, '003 fails in its middle');
follows('failed in its middle');
is(sql_try($primary, q{SELECT tapmig.abandon('003', 'given up')})->{ok}, 1, 'abandoned');
my $keeper = session($primary);
$keeper->try('SELECT pg_advisory_lock(4711)');
$r = start_tapmig($primary, [ 'up', '--to', '3', '--dir', $dir ]);
my $worker = worker_pid($primary);
ok(wait_blocked($primary, $worker), 'once more, it waits');
$primary->psql('postgres', "SELECT pg_terminate_backend($worker)");
isnt(($r->finish)[0], 0, 'and is stopped');
$keeper->close;
my $done = sql_try($primary, q{SELECT tapmig.step_done('003', 2, 'seen')});
is($done->{ok}, 1, 'its step is said to be done') or diag explain $done;
follows('step_done');
is(runner($primary, 'up', '--to', '3')->{exit}, 0, 'and so it is applied');
follows('applied at last');

# What only reads, by the runner: word for word
for my $command ([ 'status' ], [ 'plan' ], [ 'plan', '--json' ], [ 'lint' ], [ 'lint', '--json', '1', '2' ], [ 'require', '2' ],
	[ 'require', '4' ], [ 'wait', '3', '--timeout', '10s' ], [ 'wait', '4', '--timeout', '0s' ], [ 'dump', '--out', '-' ])
{
	my ($here, $there) = map { runner($_, @$command) } $primary, $standby;
	# Gates name the primary as the place to go to.
	$there->{$_} =~ s/on the primary server first: tapmig up\. This standby follows\./first: tapmig up./ for qw(err all);
	is_deeply($there, $here, "tapmig @$command says what it says on the primary");
}
like(runner($standby, 'lint')->{out}, qr/^\S+004_more\.sql:\d+: error: /m, 'lint has something to say');
like(runner($standby, 'require', '4')->{err}, qr/^HINT:  Apply it on the primary server first: tapmig up\. This standby follows\.$/m, 'a closed gate says where to go');
is_error($_, 'TM006', qr/004 is not applied/, 'TM006') && like($_->{hint}, qr/primary server/, 'with the way out')
  for sql_try($standby, q{SELECT tapmig.require('004')}), sql_try($standby, q{CALL tapmig.wait_for('004', '0')});
is(sql_try($primary, q{SELECT tapmig.require('004')})->{hint}, 'Apply it first: tapmig up.', 'not so on the primary');
runner($primary, 'dump');
is(runner($standby, 'check', '--db', $standby->connstr('postgres'))->{exit}, 0, 'check --db compares a standby');
unlike(runner($standby, 'status', '--json')->{out}, qr/ERROR/, 'status --json');
my $there = runner($primary, 'promote', '--from', $standby->connstr('postgres'), '--soak', '0s');
is($there->{exit}, 6, 'promote takes a standby for its source') or diag $there->{all};
like($there->{out}, qr/^waiting 004_more is not applied there$/m, 'and reads it');

# What writes, by the runner
$standby->psql('postgres', 'SELECT 1');
for my $command (
	[ [ 'up' ], qr/^tapmig: nothing of 004_more or after it was applied: this server is a standby; name a server that takes writes with --db, DATABASE_URL or PGHOST \(SQLSTATE 25006\)$/m ],
	[ [ 'promote', '--from', $primary->connstr('postgres'), '--soak', '0s', '--now', '4', '--why', 'now' ], qr/^tapmig: nothing of 004_more or after it was applied: this server is a standby/m ],
	[ [ 'rehearse' ],            qr/^tapmig: nothing was run: this server is a standby/m ],
	[ [ 'register', '004' ],     qr/^tapmig: nothing was recorded: this server is a standby/m ],
	[ [ 'baseline', '004' ],     qr/^tapmig: nothing was recorded: this server is a standby/m ],
	[ [ 'accept', '001', '--why', 'x' ],   qr/^tapmig: nothing was recorded: this server is a standby/m ],
	[ [ 'withdraw', '000', '--why', 'x' ], qr/^tapmig: nothing was recorded: this server is a standby/m ],
	[ [ 'abandon', '003', '--why', 'x' ],  qr/^tapmig: nothing was recorded: this server is a standby/m ])
{
	my ($arguments, $like) = @$command;
	my $r = runner($standby, @$arguments);
	is($r->{exit}, 3, "tapmig $arguments->[0]: refused");
	like($r->{err}, qr/ERROR:  tapmig\.\w+ cannot be called during recovery\nHINT:  Send it to the primary server\.$/m, "tapmig $arguments->[0]: why");
	like($r->{err}, $like, "tapmig $arguments->[0]: and what was not done");
	unlike($r->{err}, qr/correct it/, "tapmig $arguments->[0]: nothing is to be corrected");
}
my $check = runner($standby, 'check');
is($check->{exit}, 3, 'tapmig check: refused');
like($check->{err}, qr/this server only reads \(SQLSTATE 25006\)\nHINT:  Name another server/, 'tapmig check: with the way out');
like(runner($standby, 'up', '--json')->{out}, qr/"sqlstate" : "25006", .*"exit" : 3\}/, 'up --json says it too');

# A session that only reads, on the primary
my ($exit, undef, $err) = run_tapmig($primary, [ 'up', '--dir', $dir ], env => { PGOPTIONS => '-c default_transaction_read_only=on' });
is($exit, 3, 'up in a read-only session');
like($err, qr/^tapmig: nothing of 004_more or after it was applied: this session is read-only \(SQLSTATE 25006\)$/m, 'it says so');
my $writer = qr/^HINT:  .*: PGOPTIONS='(-c default_transaction_read_only=off)' tapmig (\w+)\.$/m;
like($err, $writer, 'and how it writes');
($exit, undef, $err) = run_tapmig($primary, [ 'check', '--dir', $dir, '--out', fixture('lint_rules.tsv') ], env => { PGOPTIONS => '-c default_transaction_read_only=on' });
is($exit, 3, 'check in a read-only session');
like($err, qr/this session is read-only \(SQLSTATE 25006\)$/m, 'says so');
like($err, $writer, 'and how it writes');
$primary->safe_psql('postgres', 'CREATE ROLE reader LOGIN SUPERUSER; ALTER ROLE reader SET default_transaction_read_only = on');
$primary->safe_psql('postgres', 'CREATE DATABASE reads');
$primary->safe_psql('reads', 'CREATE EXTENSION tapmig');
my $one = migrations_dir({ '001_t.sql' => 'CREATE TABLE t ();' });
my @reader = ([ 'up', '--dir', $one ], dbname => 'reads', env => { PGUSER => 'reader' });
is((run_tapmig($primary, @reader))[0], 3, 'a role that only reads');
my ($options) = $err =~ $writer;
$reader[4]{PGOPTIONS} = $options;
is((run_tapmig($primary, @reader))[0], 0, 'with these options it writes');
# A script that is, is to be corrected
write_file("$dir/004_more.sql", "BEGIN READ ONLY;\nCREATE TABLE never ();\nCOMMIT;\n");
$r = runner($primary, 'up');
is($r->{exit}, 1, 'a script that only reads, and writes');
like($r->{err}, qr/correct it and run tapmig up again \(SQLSTATE 25006\)/, 'is to be corrected');

# A foreign ledger
$primary->safe_psql('postgres', q{CREATE SCHEMA d; CREATE TABLE d.schema_migrations (version varchar PRIMARY KEY); INSERT INTO d.schema_migrations VALUES ('004')});
$primary->wait_for_catchup($standby);
is(runner($standby, 'adopt')->{exit}, 0, 'adopt: looks');
$r = runner($standby, 'adopt', '--yes');
is($r->{exit}, 3, 'adopt --yes: refused');
like($r->{err}, qr/^tapmig: nothing was recorded: this server is a standby/m, 'adopt --yes: says why');

# The functions, whether there is something to do or not
for my $call (
	'apply|SELECT tapmig.apply($v$001$v$, $v$SELECT 1$v$)', 'apply|SELECT tapmig.apply($v$9$v$, $v$SELECT 1$v$)',
	'run|CALL tapmig.run($v$001$v$, $v$SELECT 1$v$)',       'run|CALL tapmig.run($v$9$v$, $v$VACUUM$v$)',
	'register|SELECT tapmig.register($v$001$v$)',           'accept|SELECT tapmig.accept($v$001$v$, $v$SELECT 1$v$, $v$x$v$)',
	'withdraw|SELECT tapmig.withdraw($v$000$v$, $v$x$v$)',  'abandon|SELECT tapmig.abandon($v$003$v$, $v$x$v$)',
	'step_done|SELECT tapmig.step_done($v$003$v$, 1, $v$x$v$)', 'rehearse|SELECT tapmig.rehearse($v$SELECT 1$v$)')
{
	my ($name, $sql) = split /\|/, $call;
	for my $before ('', 'BEGIN; ')
	{
		my $r = sql_try($standby, "$before$sql");
		is_error($r, '25006', qr/^tapmig\.$name cannot be called during recovery$/, "$before$name");
		is($r->{hint}, 'Send it to the primary server.', "$before$name: the way out");
	}
}
is_error(sql_try($standby, $_), '25006', undef, $_)
  for q{INSERT INTO tapmig.schema_migrations (version) VALUES ('9')}, 'DELETE FROM tapmig.attempts', q{SELECT tapmig.ledger_view('public')};
follows('in the end');
is(sql_value($standby, 'SELECT pg_is_in_recovery()'), 't', 'it is a standby still');

done_testing();
