# INVALID indexes: the remains of a try are cleared away before the next one,
# what is somebody else's is left alone, and success is never recorded over an
# index that is not valid.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sub oid { return sql_value($node, "SELECT to_regclass('$_[0]')::oid"); }

# A duplicate key, without and with IF NOT EXISTS
for my $if ('', ' IF NOT EXISTS')
{
	my $what    = $if ? 'guarded' : 'plain';
	my $version = $if ? '002'     : '001';
	my $script  = "CREATE UNIQUE INDEX CONCURRENTLY$if ${what}_idx ON $what (a);\nCOMMENT ON INDEX ${what}_idx IS 'built';\n";

	sql_try($node, "CREATE TABLE $what AS SELECT 1 AS a FROM generate_series(1, 2)");
	my $r = run($node, $version, $script);
	is_error($r, '23505', qr/^could not create unique index "${what}_idx"$/, "$what: PostgreSQL's own error");
	is($r->{detail}, 'Key (a)=(1) is duplicated.', "$what: with its detail");
	like($r->{context}, qr/^migration $version, statement 1 of 2, line 1: CREATE UNIQUE INDEX CONCURRENTLY/m, "$what: and the place in the script");
	my $attempt = attempt($node, $version);
	is("$attempt->{outcome} $attempt->{sqlstate} $attempt->{steps_done} $attempt->{line}", 'failed 23505 0 1', "$what: the attempt failed");
	like($attempt->{detail}, qr/is duplicated/, "$what: with the detail");
	is(valid($node, "${what}_idx"), 'f', "$what: PostgreSQL leaves an invalid index");
	my $corpse = oid("${what}_idx");

	# Again, not yet mended
	$r = run($node, $version, $script);
	is_error($r, '23505', qr/could not create unique index/, "$what: the next try fails for the same reason");
	isnt(oid("${what}_idx"), $corpse, "$what: it built anew");

	$corpse = oid("${what}_idx");
	sql_try($node, "UPDATE $what SET a = 2 WHERE ctid = '(0,1)'");
	$r = run($node, $version, $script);
	is($r->{value}, 'applied', "$what: after the data was mended") or diag explain $r;
	like(join("\n", @{ $r->{notices} }), qr/dropping the invalid index/, "$what: it says what it drops");
	is(valid($node, "${what}_idx"), 't', "$what: the new index is valid");
	isnt(oid("${what}_idx"), $corpse, "$what: and another one");
	is(sql_value($node, "SELECT count(*) FROM pg_index WHERE indrelid = '$what'::regclass"), 1, "$what: nothing else is left");
	is(sql_value($node, "SELECT obj_description('${what}_idx'::regclass)"), 'built', "$what: the step behind it ran");
	is(attempts($node, $version), 'failed,failed,applied', "$what: three attempts");
}

# An invalid index from before the migration, and none of an earlier try
sql_try($node, 'CREATE TABLE before AS SELECT 1 AS a, 2 AS b FROM generate_series(1, 2)');
sql_try($node, 'CREATE UNIQUE INDEX CONCURRENTLY before_idx ON before (a)');
sql_try($node, "UPDATE before SET a = 2 WHERE ctid = '(0,1)'");
is(valid($node, 'before_idx'), 'f', 'before: there is an invalid index');
is(run($node, '003', 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS before_idx ON before (a)')->{value}, 'applied', 'before: IF NOT EXISTS');
is(valid($node, 'before_idx'), 't', 'before: does not skip over it');

# Of the same name, with another definition: an error
sql_try($node, 'CREATE TABLE other AS SELECT 1 AS a, 2 AS b FROM generate_series(1, 2)');
sql_try($node, 'CREATE UNIQUE INDEX CONCURRENTLY other_idx ON other (a)');
my $corpse = oid('other_idx');
my $r = run($node, '004', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS other_idx ON other (b)');
is_error($r, '42P07', qr/another definition/, 'other: another definition is an error');
is(oid('other_idx'), $corpse, 'other: it is not dropped');
is(attempts($node, '004'), 'failed', 'other: nothing is recorded as applied');

# On another table
sql_try($node, 'CREATE TABLE elsewhere (a int)');
$r = run($node, '005', 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS other_idx ON elsewhere (a)');
is_error($r, '42P07', qr/other_idx/, 'elsewhere: another table is an error');
is(oid('other_idx'), $corpse, 'elsewhere: it is not dropped');

# ON ONLY a partitioned table: invalid by design
sql_try($node, 'CREATE TABLE parted (a int) PARTITION BY RANGE (a)');
sql_try($node, 'CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)');
sql_try($node, 'CREATE INDEX parted_idx ON ONLY parted (a)');
is(valid($node, 'parted_idx'), 'f', 'parted: ON ONLY is invalid');
my $oid = oid('parted_idx');
$r = run($node, '006', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS parted_idx ON parted (a)');
ok(!$r->{ok}, 'parted: CONCURRENTLY on a partitioned table is an error') or diag explain $r;
is(oid('parted_idx'), $oid, 'parted: the index is not dropped');
is(run($node, '007', "CREATE INDEX CONCURRENTLY parted_1_idx ON parted_1 (a);\nALTER INDEX parted_idx ATTACH PARTITION parted_1_idx;\n")->{value},
	'applied', 'parted: the steps to a partitioned index');
is(oid('parted_idx'), $oid, 'parted: the same index');
is(valid($node, 'parted_idx'), 't', 'parted: is valid now');

# Somebody builds an index of that name by hand, kept waiting by a snapshot.
for my $if ('', ' IF NOT EXISTS')
{
	my $what    = $if ? 'hand_guarded' : 'hand';
	my $version = $if ? '009'          : '008';

	sql_try($node, "CREATE TABLE $what AS SELECT g AS a FROM generate_series(1, 10) g");
	my $holder = holder($node);
	my $hand   = session($node);
	$hand->start("CREATE INDEX CONCURRENTLY ${what}_idx ON $what (a)");
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')"),
		"$what: a build by hand waits");
	$oid = oid("${what}_idx");
	my $runner = session($node);
	start_run($runner, $version, "CREATE INDEX CONCURRENTLY$if ${what}_idx ON $what (a)");
	my $worker = worker_pid($node);
	ok(wait_blocked($node, $worker), "$what: the worker waits for it");
	is(oid("${what}_idx"), $oid, "$what: the index is still there");
	$holder->close;
	ok($hand->finish->{ok}, "$what: the build by hand ends well");
	my $r = $runner->finish;
	if ($if) { is($r->{value}, 'applied', "$what: the migration finds a valid index") or diag explain $r; }
	else     { is_error($r, '42P07', qr/already exists/, "$what: the migration gets PostgreSQL's error"); }
	is(oid("${what}_idx"), $oid, "$what: it is the index that was built by hand");
	is(valid($node, "${what}_idx"), 't', "$what: and valid");
}

# The build by hand fails while the migration waits for it.
sql_try($node, 'CREATE TABLE hand_failed AS SELECT g AS a FROM generate_series(1, 10) g');
{
	my $holder = holder($node);
	my $hand   = session($node);
	$hand->start('CREATE INDEX CONCURRENTLY hand_failed_idx ON hand_failed (a)');
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')"),
		'hand_failed: a build by hand waits');
	$oid = oid('hand_failed_idx');
	my $runner = session($node);
	start_run($runner, '010', 'CREATE INDEX CONCURRENTLY hand_failed_idx ON hand_failed (a)');
	ok(wait_blocked($node, worker_pid($node)), 'hand_failed: the worker waits for it');
	$hand->cancel;
	is_error($hand->finish, '57014', undef, 'hand_failed: the build by hand is cancelled');
	$holder->close;
	$r = $runner->finish;
	is($r->{value}, 'applied', 'hand_failed: the migration builds it') or diag explain $r;
	isnt(oid('hand_failed_idx'), $oid, 'hand_failed: anew');
	is(valid($node, 'hand_failed_idx'), 't', 'hand_failed: and valid');
}

# REINDEX's transient indexes: an interrupted one leaves them, the next run
# clears them away.
sql_try($node, 'CREATE TABLE re AS SELECT g AS a FROM generate_series(1, 10) g');
sql_try($node, 'CREATE INDEX re_idx ON re (a)');
for my $form ('INDEX CONCURRENTLY re_idx', 'TABLE CONCURRENTLY re')
{
	my $version = $form =~ /INDEX C/ ? '011' : '012';
	my $holder  = holder($node);
	my $session = session($node);

	start_run($session, $version, "REINDEX $form");
	ok(wait_build($node), "$form: waits");
	$session->cancel;
	is_error($session->finish, '57014', undef, "$form: is cancelled");
	is(sql_value($node, "SELECT count(*) FROM pg_index WHERE indrelid = 're'::regclass AND NOT indisvalid"), 1, "$form: leaves an invalid index");
	$holder->close;
	$r = run($node, $version, "REINDEX $form");
	is($r->{value}, 'applied', "$form: runs again") or diag explain $r;
	is(rows_of($node, "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 're'::regclass"), 're_idx|t', "$form: nothing is left of it");
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
