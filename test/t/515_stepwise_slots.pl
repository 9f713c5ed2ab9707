# No free worker slot: a run waits with a NOTICE, gives up with TM004, and goes
# on when one is free. With one slot, many runs at once take turns.

use strict;
use warnings;

use IPC::Run ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

# One slot is the logical replication launcher's.
my $node = tapmig_node('main', conf => "max_worker_processes = 2\nmax_parallel_workers = 2\n");

$node->safe_psql('postgres', 'CREATE TABLE t (a int)');
$node->safe_psql('postgres', 'CREATE TABLE done (what text)');

sub script { return "CREATE INDEX CONCURRENTLY t_$_[0] ON t (a);\nINSERT INTO done VALUES ('$_[0]');\n"; }

# The other slot is taken by a worker of another track.
my $holder = holder($node);
my $taker  = session($node);
$taker->start('CALL tapmig.run($1, $2, track => $3)', bind => [ '001', script('taker'), 'other' ]);
ok(wait_build($node), 'the slots are used up');

my $r = run($node, '001', script('none'), options => '-c tapmig.wait_timeout=0');
is_error($r, 'TM004', qr/no background worker slot is free/, 'wait_timeout 0: TM004 at once');
like($r->{hint}, qr/max_worker_processes/, 'with the way out');
is(sql_value($node, "SELECT to_regclass('t_none') IS NULL"), 't', 'nothing was done');
is(sql_value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> (SELECT pid FROM pg_stat_activity WHERE $a_worker)"), 0, 'nor is a lock left');

$r = run($node, '001', script('none'), options => '-c tapmig.wait_timeout=300ms');
is_error($r, 'TM004', qr/no background worker slot is free/, 'wait_timeout: TM004 at its end');
ok(scalar(grep { /waiting for a background worker slot/ } @{ $r->{notices} }), 'a NOTICE says what it waits for');

# A runner says so with exit code 7.
my $dir = migrations_dir({ '001_none.sql' => script('none') });
my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--force-empty' ], env => { PGOPTIONS => '-c tapmig.wait_timeout=0' });
is($exit, 7, 'up: exit code 7') or diag $err;
like($err, qr/no background worker slot is free/, 'up: says why');

# A waiting run can be cancelled, and does not hold the lock meanwhile.
my $waiter = session($node);
start_run($waiter, '001', script('none'));
ok(wait_event($node, $waiter->pid, 'Extension'), 'a run waits');
is(run($node, '005', "INSERT INTO done VALUES ('transactional')", options => '-c tapmig.wait_timeout=0')->{value}, 'applied', 'a transactional script of the track passes it');
$waiter->cancel;
is_error($waiter->finish, '57014', undef, 'it can be cancelled');

# Free again: it goes on.
start_run($waiter, '002', script('waiter'));
ok(wait_event($node, $waiter->pid, 'Extension'), 'a run waits');
$holder->close;
is($taker->finish->{value}, 'applied', 'the other track ends');
$r = $waiter->finish;
is($r->{value}, 'applied', 'the waiting run goes on') or diag explain $r;
ok(scalar(grep { /waiting for a background worker slot/ } @{ $r->{notices} }), 'it had said that it waits');
is(valid($node, 't_waiter'), 't', 'its index is valid');

# Many at once on one slot
my @sessions = map { session($node) } 0 .. 9;
start_run($sessions[$_], 10 + ($_ % 5), script('many_' . $_ % 5)) for 0 .. 9;
my @outcomes = map { my $r = $_->finish(60); $r->{value} // "$r->{sqlstate} $r->{message}" } @sessions;
is(join(',', sort @outcomes), join(',', ('applied') x 5, ('skipped') x 5), 'ten runs of five scripts on one slot');
is(sql_value($node, "SELECT count(*) FROM done WHERE what LIKE 'many%'"), 5, 'each ran once');
ok(no_worker($node), 'no worker is left');
is(sql_value($node, "SELECT string_agg(DISTINCT outcome, ',') FROM tapmig.attempts"), 'applied', 'no attempt failed');
is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');

# Where there can be no worker, nothing is waited for.
$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
$r = run($node, '020', script('never'), options => '-c tapmig.wait_timeout=-1 -c statement_timeout=20s');
is_error($r, '55000', qr/^migration 020 needs a background worker, and there can be none$/, 'max_worker_processes 0: an error at once');
like($r->{hint}, qr/max_worker_processes/, 'with the way out');
$node->stop;
IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ],
	'<', \"CALL tapmig.run('021', 'SELECT 1')\nCALL tapmig.run('022', 'VACUUM t')\n", '>', \my $said, '2>&1', IPC::Run::timeout(60));
like($said, qr/outcome = "applied".*ERROR:  migration 022 needs a background worker, and there can be none\n.*HINT:  Start the server\b/s, 'single-user mode: likewise');

done_testing();
