# A subscription that has its slot made on its own cluster waits for itself: the
# worker for a walsender, the walsender for the worker's transaction. It ends with
# 40P01, with a caller or without one, and leaves no slot. One that waits for
# somebody else goes on.

use strict;
use warnings;

use IPC::Run ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my @conf = (init => [ allows_streaming => 'logical' ], conf => "autovacuum = off\nmax_worker_processes = 16\nmax_wal_senders = 12\n");
my $node = tapmig_node('main', @conf);
my $self = quoted($node->connstr('postgres'));
my $create = "CREATE SUBSCRIPTION sub CONNECTION $self PUBLICATION pub";

my $slots  = 'SELECT count(*) FROM pg_replication_slots';
my $making = q{backend_type = 'walsender' AND query LIKE 'CREATE_REPLICATION_SLOT%' AND wait_event = 'transactionid'};

# A session that has an open transaction which has written
sub writer
{
	my ($on) = @_;
	my $session = session($on);

	$session->try($_) for 'BEGIN', 'SELECT pg_current_xact_id()';
	return $session;
}

# What was left: the attempt as it is to be, nobody at work, no slot.
sub has_failed
{
	my ($name, $version, $slot) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(no_worker($node), "$name: no worker is left");
	my $attempt = attempt($node, $version);
	is("$attempt->{outcome} $attempt->{sqlstate} $attempt->{steps_done}", 'failed 40P01 0', "$name: the attempt");
	is($attempt->{message}, qq(the subscription waits for its own slot "$slot": the publisher is this server), "$name: its message");
	like($attempt->{detail}, qr/^Process $attempt->{pid} runs it and waits for walsender \d+ to make the slot; /, "$name: its detail");
	ok(wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsender')"), "$name: no walsender is left");
	is(sql_value($node, $slots), 0, "$name: and no slot");
	return;
}

sql_value($node, $_) for 'CREATE PUBLICATION pub FOR ALL TABLES', 'CREATE DATABASE other';

# Itself, in its own database, in another one, and again
my $r = run($node, '001_sub', "SELECT 1;\n\n$create;");
is_error($r, '40P01', qr/^the subscription waits for its own slot "sub": the publisher is this server$/, 'in its own database: 40P01');
like($r->{context}, qr/^migration 001_sub, statement 2 of 2, line 3: CREATE SUBSCRIPTION/m, 'with statement and line');
like($r->{hint}, qr/^\QMake the slot in a statement before it: SELECT pg_create_logical_replication_slot('sub', 'pgoutput'), and have the subscription use it: WITH (create_slot = false, slot_name = 'sub').\E/, 'and the way out');
ok(no_worker($node), 'no worker is left');
is(attempt($node, '001')->{steps_done}, 1, 'the step before it stays');
for my $case ([ '002', 'another database', "CREATE SUBSCRIPTION sub CONNECTION @{[ quoted($node->connstr('other')) ]} PUBLICATION pub WITH (slot_name = 'one''s')", undef ],
	[ '003', 'a slot of another name', "$create WITH (slot_name = elsewhere, create_slot = on)", 'elsewhere' ], [ '003', 'again', "$create WITH (slot_name = elsewhere)", 'elsewhere' ])
{
	my ($version, $name, $script, $slot) = @$case;
	my $r = run($node, $version, $script);

	# A name that no slot can have is PostgreSQL's to refuse.
	is_error($r, defined $slot ? '40P01' : '42602', undef, $name);
	has_failed($name, $version, $slot) if defined $slot;
}
is(run($node, '004', "CREATE SUBSCRIPTION sub CONNECTION @{[ quoted($node->connstr('other')) ]} PUBLICATION pub")->{sqlstate}, '40P01', 'another database');
has_failed('another database', '004', 'sub');

# What the hint says works, where it failed
$r = run($node, '001_sub', "SELECT 1;\n\nSELECT pg_create_logical_replication_slot('sub', 'pgoutput');\n$create WITH (create_slot = false, slot_name = 'sub', enabled = false);");
is($r->{value}, 'applied', 'as the hint says: applied') or diag $r->{message};
is(run($node, '005', 'DROP SUBSCRIPTION sub')->{value}, 'applied', 'and dropped with its slot');
is(sql_value($node, $slots), 0, 'the slot too');

# Behind somebody's transaction: that is an ordinary wait, which names it. The
# client is gone then, so that nobody but the worker is there when it becomes a
# wait for itself.
my $writer = writer($node);
my $dir    = migrations_dir({ '010_sub.sql' => "$create;\n" });
my $up     = start_tapmig($node, [ 'up', '--dir', $dir ]);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $making)"), 'the walsender waits');
is(rows_of($node, 'SELECT version, waits_for_pid FROM tapmig.running'), '010|' . $writer->pid, 'tapmig.running says for whom');
$up->signal('TERM');
is(($up->finish)[0], 143, 'the runner is gone');
ok(wait_until($node, "SELECT bool_and(clock_timestamp() - backend_start > '3 s') FROM pg_stat_activity WHERE $a_worker"), 'the worker goes on waiting');
is(rows_of($node, 'SELECT version, waits_for_pid FROM tapmig.running'), '010|' . $writer->pid, 'and is shown');
$writer->close;
has_failed('without a caller', '010', 'sub');

# The same, and that transaction then waits for the worker's.
$writer = writer($node);
my $caller = session($node);
start_run($caller, '010', $create);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $making)"), 'the walsender waits for a transaction');
$writer->start("$create WITH (connect = false)");
is_error($caller->finish, '40P01', qr/its own slot/, 'which waits for the subscription: 40P01');
is($writer->finish->{sqlstate}, '', 'and goes on then');
$writer->close;
has_failed('three in a ring', '010', 'sub');

# Cancelled while it waits: the walsender ends too, it must not keep the slot's name,
# nor finish the slot later.
$writer = writer($node);
start_run($caller, '010', $create);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $making)"), 'the walsender waits once more');
$caller->cancel;
is_error($caller->finish, '57014', undef, 'cancelled');
is(attempt($node, '010')->{outcome}, 'interrupted', 'interrupted');
ok(no_worker($node), 'no worker is left');
ok(wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walsender')", timeout => 20), 'nor a walsender');
is(sql_value($node, $slots), 0, 'nor a slot');
$writer->close;

# On another cluster it waits for a transaction of that one, while somebody else's
# walsender waits here for the worker: nothing of it is a ring.
my $other = tapmig_node('other', @conf);
sql_value($other, 'CREATE PUBLICATION pub FOR ALL TABLES');
$writer = writer($other);
start_run($caller, '020', 'CREATE SUBSCRIPTION sub CONNECTION ' . quoted($other->connstr('postgres')) . ' PUBLICATION pub WITH (enabled = false)');
ok(wait_until($other, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $making)"), 'a walsender of the other cluster waits');
my $theirs = IPC::Run::start([ 'pg_recvlogical', '--create-slot', '-S', 'theirs', '-P', 'pgoutput', '-d', $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $making AND clock_timestamp() - backend_start > '3 s')"), 'one of this cluster waits for the worker, for long');
$writer->close;
is($caller->finish->{value}, 'applied', 'it is applied');
ok($theirs->finish, 'and so is theirs') or diag $err;
is(rows_of($node,  'SELECT slot_name FROM pg_replication_slots'), 'theirs', 'their slot is here');
is(rows_of($other, 'SELECT slot_name FROM pg_replication_slots'), 'sub', 'ours is there');
is(run($node, '021', 'DROP SUBSCRIPTION sub')->{value}, 'applied', 'dropped');

done_testing();
