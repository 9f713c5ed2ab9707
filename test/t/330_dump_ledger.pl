# pg_dump and pg_restore carry the ledger: rows, history, scripts, attempts and
# sequences; verify() is clean after, and the files are there already.

use strict;
use warnings;
use utf8;

use IPC::Run ();
use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = scratch_dir();
my $src  = tapmig_database($node, 'source');
my %db   = (dbname => $src);

# A ledger with something of everything.
my @files = (
	[ '001_first',  "-- Why: the first\n-- tapmig: store=off\nCREATE TABLE t (id int PRIMARY KEY, note text)" ],
	[ '002_näme',   "INSERT INTO t VALUES (1, 'Grüße, \\ \t und 日本語')" ],
	[ '003_layout', 'INSERT INTO t VALUES (3)' ],
	[ '1.10',       "-- tapmig: replaces=004..005\nINSERT INTO t VALUES (110)" ],
	[ '1.2',        'INSERT INTO t VALUES (12)' ]);
for my $f (@files)
{
	is(apply($node, @$f, %db, source => "m/$f->[0].sql")->{value}, 'applied', "applied $f->[0]");
}
is(apply($node, '003_layout', "insert into t\nvalues (3) -- more\n", %db)->{value}, 'skipped', 'another layout');
is(apply($node, '001', 'CREATE TABLE t2 ()', %db, track => 'second')->{value}, 'applied', 'a second track');
is(sql_try($node, q{SELECT tapmig.register('020', 'SELECT 20', applied_at => '2001-02-03 04:05:06.789+00')}, %db)->{value},
	'registered', 'one registered');
is(sql_try($node, q{SELECT tapmig.register('021')}, %db)->{value}, 'registered', 'one without a script');
sql_value($node, q{SELECT tapmig.withdraw('021', 'it was not')}, %db);
sql_value($node, q{SELECT tapmig.accept('020', 'SELECT 2020', 'a better text')}, %db);
is(sql_try($node, q{INSERT INTO tapmig.schema_migrations (version) VALUES ('022')}, %db)->{ok}, 1, 'one by hand');
is_error(run($node, '030', "SELECT 1;\nSELECT 1/0", %db), '22012', undef, 'a failed one');
verify_is_clean($node, 'before', %db);

my %columns = (
	schema_migrations => 'track, tapmig.version_key(version)',
	history           => 'seq',
	scripts           => 'checksum',
	attempts          => 'id');

# All that the ledger holds, as text.
sub contents
{
	my ($db) = @_;
	my %all = map {
		my $r = sql_try($node, "SELECT x::text FROM tapmig.$_ AS x ORDER BY $columns{$_}", dbname => $db);
		($_ => $r->{ok} ? [ map { $_->[0] } @{ $r->{rows} } ] : $r->{message})
	} keys %columns;

	# last_value and is_called: what the next number will be
	$all{$_} = sql_try($node, "SELECT last_value, is_called FROM tapmig.$_", dbname => $db)->{rows}
	  for qw(history_seq attempts_id_seq);
	$all{triggers} = sql_try($node,
		q{SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'tapmig.%' ORDER BY 1, 2},
		dbname => $db)->{rows};
	return \%all;
}

sub command
{
	my ($what, @command) = @_;
	my ($out, $err) = ('', '');

	local %ENV = $node->_get_env();
	my $good = IPC::Run::run(\@command, '>', \$out, '2>', \$err);
	ok($good, $what) or diag($err);
	return;
}

my $before = contents($src);
is(scalar @{ $before->{history} },           12, 'twelve events') or diag explain $before->{history};
is(scalar @{ $before->{schema_migrations} }, 8, 'eight versions in force');
is(scalar @{ $before->{attempts} },          1, 'one attempt');
cmp_ok(scalar @{ $before->{scripts} },       '>=', 6, 'scripts');
is(scalar(grep { $_->[2] ne 'A' } @{ $before->{triggers} }), 0, 'the triggers fire always');

command('pg_dump, plain',      'pg_dump', '-f', "$dir/plain.sql",  $src);
command('pg_dump, inserts',    'pg_dump', '--column-inserts', '-f', "$dir/inserts.sql", $src);
command('pg_dump -Fc',         'pg_dump', '-Fc', '-f', "$dir/custom",   $src);
command('pg_dump -Fd -j 2',    'pg_dump', '-Fd', '-j2', '-f', "$dir/directory", $src);
command('pg_dump schema only', 'pg_dump', '--schema-only', '-f', "$dir/schema.sql", $src);
command('pg_dump data only',   'pg_dump', '--data-only',   '-f', "$dir/data.sql",   $src);

my @psql = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d');
my %ways = (
	'plain'          => [ [ @psql, 'DB', '-f', "$dir/plain.sql" ] ],
	'plain, in one transaction' => [ [ @psql, 'DB', '-1', '-f', "$dir/plain.sql" ] ],
	'column-inserts' => [ [ @psql, 'DB', '-f', "$dir/inserts.sql" ] ],
	'custom'         => [ [ 'pg_restore', '--exit-on-error', '-d', 'DB', "$dir/custom" ] ],
	'custom -j 2'    => [ [ 'pg_restore', '--exit-on-error', '-j2', '-d', 'DB', "$dir/custom" ] ],
	'directory -j 2' => [ [ 'pg_restore', '--exit-on-error', '-j2', '-d', 'DB', "$dir/directory" ] ],
	'schema, then data, plain' =>
	  [ [ @psql, 'DB', '-f', "$dir/schema.sql" ], [ @psql, 'DB', '-f', "$dir/data.sql" ] ],
	'schema, then data, custom' => [
		[ 'pg_restore', '--exit-on-error', '--schema-only', '-d', 'DB', "$dir/custom" ],
		[ 'pg_restore', '--exit-on-error', '--data-only',   '-d', 'DB', "$dir/custom" ] ],
	'over itself, with --clean' => [
		[ 'pg_restore', '--exit-on-error', '-d', 'DB', "$dir/custom" ],
		[ 'pg_restore', '--exit-on-error', '--clean', '-j4', '-d', 'DB', "$dir/custom" ] ],
	'as a template' => [],
	'sections' => [
		map { [ 'pg_restore', '--exit-on-error', "--section=$_", '-d', 'DB', "$dir/custom" ] }
		  qw(pre-data data post-data) ]);

my $i = 0;
for my $way (sort keys %ways)
{
	my $db = 'target' . ++$i;
	sql_value($node, "CREATE DATABASE $db TEMPLATE " . ($way eq 'as a template' ? $src : 'template0'));
	command("$way: restored", map { $_ eq 'DB' ? $db : $_ } @$_) for @{ $ways{$way} };
	is_deeply(contents($db), $before, "$way: the ledger is the same, and its sequences");
	verify_is_clean($node, $way, dbname => $db);

	# Life goes on: what is there is skipped, what comes is chained to it.
	is_deeply([ map { apply($node, @$_, dbname => $db)->{value} } @files ],
		[ ('skipped') x @files ], "$way: the files are there already");
	is(apply($node, '004', 'SELECT 4', dbname => $db)->{value}, 'skipped', "$way: and the parts of the squash");
	is(sql_value($node,
			q{SELECT string_agg(DISTINCT state, ' ') FROM tapmig.plan(ARRAY['001', '002', '003', '1.2', '1.10', '020', '022'])},
			dbname => $db),
		'applied', "$way: plan says so");
	is(run($node, '040', 'INSERT INTO t VALUES (40)', dbname => $db)->{value}, 'applied', "$way: the next is applied");
	is_error(run($node, '041', 'SELECT 1/0', dbname => $db), '22012', undef, "$way: and the next attempt written");
	is(sql_value($node, 'SELECT max(seq) = (SELECT last_value FROM tapmig.history_seq) FROM tapmig.history', dbname => $db),
		't', "$way: the sequence went on");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts', dbname => $db), 2, "$way: two attempts");
	verify_is_clean($node, "$way, after more", dbname => $db);
	is(sql_value($node, q{SELECT count(*) FROM tapmig.verify((SELECT chain FROM tapmig.history ORDER BY seq DESC LIMIT 1))},
			dbname => $db), 0, "$way: verify() knows its head");
}

# The dump of a restored database is the dump of its source. (Restored rows may
# stand in another order.)
is(join('', sort split /^/, dump_text($node, 'target1', '-T', 't', '-N', 'tapmig')),
	join('', sort split /^/, dump_text($node, $src, '-T', 't', '-N', 'tapmig')),
	'dumps are the same');

# What a restore forged would be found.
sql_value($node, 'CREATE DATABASE forged TEMPLATE template0');
my $text = read_file("$dir/plain.sql");
ok($text =~ s/by hand|it was not/it was so/, 'a reason changed in the dump');
write_file("$dir/forged.sql", $text);
command('a forged dump', @psql, 'forged', '-f', "$dir/forged.sql");
cmp_ok(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => 'forged'), '>', 0, 'verify() finds it');

# Into a database that has a ledger: the same versions again are refused.
{
	my ($out, $err) = ('', '');
	local %ENV = $node->_get_env();
	IPC::Run::run([ @psql, 'target1', '-f', "$dir/data.sql" ], '>', \$out, '2>', \$err);
	like($err, qr/duplicate key|23505/, 'data restored twice: refused by the key');
}
verify_is_clean($node, 'after a refused restore', dbname => 'target1');
is(apply($node, '050', 'SELECT 50', dbname => 'target1')->{value}, 'applied', 'and the ledger goes on');
verify_is_clean($node, 'after the next', dbname => 'target1');

done_testing();
