# wait_for: returns when a version is there, TM006 at its timeout; it holds no
# snapshot, and works on a standby.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;
use Time::HiRes qw(time);

my $node = tapmig_node('primary', init => [ allows_streaming => 1 ]);

sql_value($node, 'CREATE TABLE t (i int)');
apply($node, '001_first', 'CREATE TABLE first ()');
apply($node, '010_squash', "-- tapmig: replaces=002..009\nCREATE TABLE squashed ()");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

for my $server ($node, $standby)
{
	my $name = $server->name;
	my $s    = session($server);
	my $since;

	is($s->try(q{CALL tapmig.wait_for('001')})->{ok}, 1, "$name: what is there is not waited for");
	is($s->try(q{CALL tapmig.wait_for('1', timeout => '0')})->{ok}, 1, "$name: also with timeout 0");
	is($s->try(q{CALL tapmig.wait_for('005', '0')})->{ok}, 1, "$name: nor is a part of a squash");

	$since = time;
	is_error($s->try(q{CALL tapmig.wait_for('099', '0')}), 'TM006', qr/099/, "$name: TM006 at once with timeout 0");
	cmp_ok(time - $since, '<', 5, "$name: at once");
	$since = time;
	is_error($s->try(q{CALL tapmig.wait_for('099', '400 ms')}), 'TM006', qr/099/, "$name: TM006 at the timeout");
	cmp_ok(time - $since, '>=', 0.4, "$name: not before");
	cmp_ok(time - $since, '<', 5,   "$name: not long after");
	is_error($s->try(q{CALL tapmig.wait_for('001', '-1 s')}), '22023', undef, "$name: a negative timeout");
	is_error($s->try(q{CALL tapmig.wait_for(NULL)}), '22004', undef, "$name: null version");
	is_error($s->try(q{CALL tapmig.wait_for('001', NULL)}), '22004', undef, "$name: null timeout");
	is_error($s->try(q{CALL tapmig.wait_for('')}), '22023', undef, "$name: empty version");

	# In a block: even where it need not wait
	$s->try('BEGIN');
	is_error($s->try(q{CALL tapmig.wait_for('001')}), 'TM003', undef, "$name: TM003 in a block");
	$s->try('ROLLBACK');
	is_error($s->try(q{DO $$ BEGIN CALL tapmig.wait_for('001'); EXCEPTION WHEN division_by_zero THEN END $$}),
		'TM003', undef, "$name: TM003 in a function's block");

	# Waiting
	$s->start(q{CALL tapmig.wait_for('099', '1 min')});
	ok(wait_event($server, $s->pid, 'Extension'), "$name: waits");
	ok(wait_until($server,
			"SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = @{[ $s->pid ]}"),
		"$name: without a snapshot");
	if ($server == $node)
	{
		is(sql_try($node, 'CREATE INDEX CONCURRENTLY t_i ON t (i)', options => '-c statement_timeout=30s')->{ok},
			1, "$name: CREATE INDEX CONCURRENTLY ends meanwhile");
	}
	ok($s->busy, "$name: waits still");
	$s->cancel;
	is_error($s->finish, '57014', undef, "$name: can be cancelled");
	is($s->try('SELECT 1')->{value}, 1, "$name: its session goes on");
}

# It arrives: on the primary at commit, on the standby by replication.
my $here   = session($node);
my $there  = session($standby);
my $other  = session($node);
my $holder = session($node);
$here->start(q{CALL tapmig.wait_for('020')});
$there->start(q{CALL tapmig.wait_for('020')});
$other->start(q{CALL tapmig.wait_for('020', '2 s', track => 'other')});
ok(wait_event($node,    $here->pid,  'Extension'), 'the primary waits');
ok(wait_event($standby, $there->pid, 'Extension'), 'the standby waits');
$holder->try('BEGIN');
is($holder->try(q{SELECT tapmig.apply('020', 'CREATE TABLE twenty ()')})->{value}, 'applied', 'applied, not committed');
ok($here->busy && $there->busy, 'they wait still');
$holder->try('COMMIT');
is($here->finish->{ok},  1, 'committed: the primary goes on');
is($there->finish->{ok}, 1, 'replicated: the standby goes on');
is($there->try(q{SELECT to_regclass('twenty') IS NOT NULL})->{value}, 't', 'and has the table');
is_error($other->finish, 'TM006', undef, 'another track does not have it');
is($other->try(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'})->{value}, 0, 'no lock was taken');

done_testing();
