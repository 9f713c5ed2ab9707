# A tour through what allocates in unusual places: a stepwise run in its worker, a
# cancelled one and its repair, a try that is rolled back and made again, a
# rehearsal, lint, a loss of data, failures in each. "make test-memory" runs it
# under valgrind, where it takes minutes; it measures no times.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "log_min_messages = warning\ntapmig.rehearse_limit = '10min'\n");
my %long = (timeout => 900);

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT g, 'b' FROM generate_series(1, 100) g;
CREATE TABLE u (a int REFERENCES t);
SQL

# A stepwise run: settings, NOTICEs and an error pass between the two processes.
my $r = run($node, '01_steps', <<'SQL');
-- Why: all kinds of steps
SET search_path = pg_catalog, public;
DO $$ BEGIN RAISE NOTICE 'in the worker: %', repeat('ä', 3000); END $$;
CREATE INDEX CONCURRENTLY t_b ON public.t (b);
COPY public.t FROM stdin;
1001	copied
\.
VACUUM (VERBOSE) public.t;
DO $$ BEGIN INSERT INTO public.t VALUES (1002); COMMIT; END $$;
SQL
is($r->{value}, 'applied', 'stepwise') or diag explain $r;
like(join('', @{ $r->{notices} }), qr/in the worker: /, 'its NOTICE arrives');
$r = run($node, '02_fails', "INSERT INTO t VALUES (2001);\nCREATE UNIQUE INDEX CONCURRENTLY t_b2 ON t (b);");
is_error($r, '23505', qr/could not create unique index/, 'a step that fails');
$node->safe_psql('postgres', 'UPDATE t SET b = a');
$r = run($node, '02_fails', "INSERT INTO t VALUES (2001);\nCREATE UNIQUE INDEX CONCURRENTLY t_b2 ON t (b);");
is($r->{value}, 'applied', 'and is repaired') or diag explain $r;
is(valid($node, 't_b2'), 't', 'its index is valid');

# A cancelled one.
my $holder  = holder($node);
my $session = session($node);
start_run($session, '03_cancelled', "CREATE TABLE c ();\nCREATE INDEX CONCURRENTLY c_b ON t (b, a);");
ok(wait_build($node, %long), 'a build waits');
$session->cancel;
is_error($session->finish(900), '57014', qr/user request/, 'it is cancelled');
$holder->close;
is(run($node, '03_cancelled', "CREATE TABLE c ();\nCREATE INDEX CONCURRENTLY c_b ON t (b, a);")->{value}, 'applied', 'and goes on');

# A lock that is not to be had, and then is.
my $blocker = session($node);
$blocker->try('BEGIN');
$blocker->try('LOCK TABLE t');
my $options = '-c tapmig.lock_timeout=200ms -c tapmig.lock_retries=1 -c tapmig.retry_work=10min';
$r = run($node, '04_blocked', 'CREATE TABLE d (); ALTER TABLE t ADD c int', options => $options);
is_error($r, 'TM005', qr/./, 'blocked');
like($r->{detail}, qr/holds/, 'by somebody who is named');
$r = apply($node, '04_blocked', 'CREATE TABLE d (); ALTER TABLE t ADD c int', options => $options);
is_error($r, 'TM005', qr/./, 'the same in a transaction');
$options =~ s/retries=1/retries=100/;
$session->try("SET tapmig.lock_timeout = '200ms'; SET tapmig.lock_retries = 1000; SET tapmig.retry_work = '10min'");
$session->start("CALL tapmig.run('04_blocked', 'CREATE TABLE d (); ALTER TABLE t ADD c int')");
ok(wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'tapmig %04_blocked%: waits to try again'", %long), 'it waits to try again');
$blocker->close;
is($session->finish(900)->{value}, 'applied', 'and succeeds');

# Nothing is kept of a rehearsal.
my $script = "ALTER TABLE t ALTER COLUMN a TYPE bigint;\nCREATE INDEX ON u (a);\nDELETE FROM t WHERE a = 1002;\nDO \$\$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END \$\$;";
$r = sql_try($node, 'SELECT * FROM tapmig.rehearse($1)', bind => [$script]);
cmp_ok(scalar @{ $r->{rows} }, '>=', 5, 'a rehearsal') or diag explain $r;
is_error(sql_try($node, 'SELECT * FROM tapmig.rehearse($1)', bind => ["$script\nSELECT 1 / 0;"]), '22012', qr/division/, 'one that fails');
is(sql_value($node, 'SELECT count(*) FROM t WHERE a = 1002'), 1, 'leaves nothing');

# A new session has no counters of a table that its transaction has only locked.
my $new = session($node);
$new->try($_) for 'BEGIN', 'LOCK TABLE t IN SHARE MODE';
is($new->try(q{SELECT string_agg(relation || ' ' || scanned, ',') FROM tapmig.rehearse('CREATE INDEX ON t (b, a)')})->{value}, 't true',
	'a scan of what was locked before is seen');
$new->close;

# Lint, and an error of it.
$r = sql_try($node, 'SELECT rule FROM tapmig.lint($1)', bind => [ "ALTER TABLE t ADD e int NOT NULL DEFAULT random(), ALTER b TYPE varchar(1), ADD FOREIGN KEY (c) REFERENCES t;\nCREATE INDEX ON t (c);\nDROP TABLE nothere;" ]);
cmp_ok(scalar @{ $r->{rows} }, '>=', 3, 'lint') or diag explain $r;
is_error(sql_try($node, 'SELECT rule FROM tapmig.lint($1)', bind => ['ALTER TABEL t']), '42601', qr/TABEL/, 'and what it cannot read');

# Scripts of all kinds are read; many of them are refused.
my %answers;
for my $file (glob(top_dir() . '/test/fuzz/corpus/*'))
{
	my $text = read_file($file);

	next unless utf8::decode($text) && $text !~ /\0/;
	for my $function (qw(statements lint))
	{
		$r = sql_try($node, "SELECT count(*) FROM tapmig.$function(\$1)", bind => [$text]);
		$answers{ $r->{ok} ? 'read' : $r->{sqlstate} }++;
	}
}
cmp_ok($answers{$_} // 0, '>=', $_ eq 'read' ? 60 : 5, "answers: $_") for qw(read 42601 TM009);
ok(!defined $answers{XX000}, 'no internal error');

# Loss of data.
$options = '-c tapmig.data_loss=error';
my $loss = "ALTER TABLE t DROP b;\nTRUNCATE u;\nDROP TABLE t CASCADE;";
is_error(apply($node, '05_loss', $loss, options => $options), 'TM008', qr/./, 'a loss');
is(run($node, '05_loss', "-- tapmig: loses=t, t.b, approved-by=me\n$loss", options => $options)->{value}, 'applied', 'with approval');

# The ledger reads all of it.
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'the ledger is whole');
is(sql_value($node, "SELECT count(*) FROM tapmig.plan(ARRAY['01', '02', '06'], NULL)") > 0, 1, 'a plan');
ok(no_worker($node), 'no worker is left');

done_testing();
