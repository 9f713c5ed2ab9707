# Names that want to be more than names: of files, of tables that somebody else
# made. None is executed, none reaches a terminal as it is, none stops the run
# without a word.

use strict;
use warnings;

use POSIX ();
use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $place = scratch_dir();
my $canary = "$place/c";

sub control { return $_[0] =~ /([\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9])/ ? 1 : 0; }

# ------------------------------------------------------------- names of files

my @names = (
	'001_$(touch c).sql', '002_`touch c`.sql', "003_'; touch c; '.sql", '004_\\! touch c.sql',
	'005_a\\\\.sql', '006_a\\', "007_\xe2\x80\xaelqs.\xe2\x81\xa6x.sql", '008_:began :\'label\' :"x".sql', '009_%s%n%d.sql',
	'010_-rf --help.sql', '011_&;|<>.sql', '012_*?[a-z]{}~.sql', '013_$HOME ${IFS}.sql', '014_#!;%%.sql',
	"015_\xc2\x9b31m.sql", '016_"; DROP TABLE t; --.sql', '017_$t$ $$ $q$.sql', '018_\'\'\\\'\'.sql',
	'019_a/up.sql', '020_$(touch c)/migration.sql');
$_ .= '.sql' for grep { !/\.sql$/ } @names;
my $dir = migrations_dir({ map { $_ => 'SELECT 1' } @names });
write_file("$dir/$_", 'SELECT 1')
  for ('-x.sql', '--help.sql', '--', '$(touch c).sql', "a\e[31m.sql", "a\nb.sql", "-f/up.sql", 'x;touch c;/up.sql');

for my $command ([ 'status' ], [ 'plan' ], [ 'plan', '--markdown' ], [ 'plan', '--json' ], [ 'lint' ],
	[ 'lint', '--format', 'github' ], [ 'rehearse' ], [ 'up' ], [ 'up' ], [ 'status' ], [ 'status', '--json' ], [ 'dump', '--out', '-' ])
{
	my ($exit, $out, $err) = run_tapmig($node, [ @$command, '--dir', $dir ], cwd => $place);
	my $name = "@$command";

	is($exit, $name =~ /^status/ && $node->{applied}++ < 1 ? 6 : 0, "$name: goes its way") or diag $err;
	ok(!-e $canary, "$name: executes none of the names");
	is(control($name =~ /json|dump/ ? $err : "$out$err"), 0, "$name: shows them without control characters") or diag "$out$err";
}
is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations'), scalar @names, 'all of them are applied');
is(sql_value($node, q{SELECT name FROM tapmig.schema_migrations WHERE version = '004'}), '\\! touch c', 'by their names');
is(sql_value($node, q{SELECT source FROM tapmig.schema_migrations WHERE version = '001'}), "$dir/001_\$(touch c).sql", 'and sources');

# What no file of a migration can be is refused before anything runs.
sub refused
{
	my ($name, $make, $like) = @_;
	my $bad = migrations_dir({ '030_a.sql' => 'SELECT 1' });

	$make->($bad);
	for my $command ('status', 'up')
	{
		my ($exit, $out, $err) = run_tapmig($node, [ $command, '--dir', $bad ], timeout => 60, cwd => $place);

		is($exit, 2, "$name: $command refuses") or diag $err;
		like($err, $like, "$name: and says why");
		is(control($err), 0, "$name: without control characters");
	}
	return;
}

refused('a FIFO', sub { POSIX::mkfifo("$_[0]/031_b.sql", 0600) }, qr/cannot read .*031_b/);
refused('a link to a FIFO', sub { POSIX::mkfifo("$_[0]/f", 0600); symlink('f', "$_[0]/031_b.sql") }, qr/cannot read .*031_b/);
refused('a link to a device', sub { symlink('/dev/zero', "$_[0]/031_b.sql") }, qr/cannot read .*031_b/);
refused('a link to nothing', sub { symlink('nowhere', "$_[0]/031_b.sql") }, qr/cannot read .*031_b/);
refused('a link to itself', sub { symlink('031_b.sql', "$_[0]/031_b.sql") }, qr/cannot read .*031_b/);
refused('a line break', sub { write_file("$_[0]/031_\n\\! touch c\n.sql", 'SELECT 1') }, qr/line break/);
refused('an escape sequence', sub { write_file("$_[0]/031_\e]0;x\a.sql", 'SELECT 1') }, qr/control character/);
refused('a FIFO in a directory of its own', sub { mkdir "$_[0]/031_b"; POSIX::mkfifo("$_[0]/031_b/up.sql", 0600) }, qr/cannot read .*031_b/);
ok(!-e $canary, 'nothing of it was executed');

# A link to a file is the file, wherever it is.
{
	my $linked = migrations_dir({});
	write_file("$place/elsewhere", 'SELECT 1');
	symlink("$place/elsewhere", "$linked/032_a.sql");
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $linked ]);
	like($out, qr/^applied 032_a /, 'a link to a file') or diag $err;
}

# A directory's names
for my $odd ("$place/-d \$(touch c)", "$place/\\! touch c", "$place/a\xe2\x80\xaeb")
{
	write_file("$odd/04" . ++$node->{odd} . '_a.sql', 'SELECT 1');
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $odd ], cwd => $place);
	is($exit, 0, 'a directory of an odd name') or diag $err;
	ok(!-e $canary, 'which is not executed');
}

# ---------------------------------------------- tables of an application's role

# A name is 63 bytes: enough for a row of the runner's own tables.
my $db = tapmig_database($node, 'hostile');
sql_value($node, $_, dbname => $db) for ('CREATE ROLE app LOGIN', 'GRANT CREATE ON SCHEMA public TO app');
my $few = migrations_dir({ '001_a.sql' => 'SELECT 1', '002_b.sql' => 'SELECT 2' });
my $row = "x\npicked\ta\trunbook\t0 \\! touch c #\tf\t1";
is(sql_try($node, qq{CREATE TABLE "$row" (version text PRIMARY KEY)}, dbname => $db, user => 'app')->{ok}, 1, 'a table that looks like a ledger');
sql_value($node, qq{INSERT INTO "$row" VALUES ('001')}, dbname => $db);
for my $args ([], [ '--yes' ])
{
	my ($exit, $out, $err) = run_tapmig($node, [ 'adopt', @$args, '--dir', $few ], dbname => $db, cwd => $place);

	is($exit, 0, "adopt @$args") or diag $err;
	ok(!-e $canary, 'its name is not executed');
	like($out, @$args ? qr/^registered 001/ : qr/dbmate/, 'it is what it looks like');
}
unlink $canary;

$db = tapmig_database($node, 'hostile_too');
sql_value($node, 'GRANT CREATE ON SCHEMA public TO app', dbname => $db);
$row = "x\nplan\t2\t1\tpending\trun\t002\tb\t";
sql_value($node, qq{CREATE TABLE "$row" ()}, dbname => $db, user => 'app');
my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $few ], dbname => $db);
is($exit, 4, 'a database with a table and no ledger');
like($err, qr/has tables \(public\."x\?plan\?2/, 'which is named') or diag $err;
($exit, $out, $err) = run_tapmig($node, [ 'up', '--to', '001', '--force-empty', '--dir', $few ], dbname => $db);
is($exit, 0, 'up --to 001') or diag $err;
is(sql_value($node, 'SELECT max(version) FROM tapmig.schema_migrations', dbname => $db), '001', 'goes no further, whatever the name says');

# --------------------------------------------------- texts of an application's

sql_value($node, $_) for ('CREATE TABLE t (a text UNIQUE)', qq{INSERT INTO t VALUES (E'\\x1b]0;title\\x07\\u009b31m\\u202e')});
my $texts = migrations_dir({ '050_a.sql' => q{INSERT INTO t SELECT a FROM t} });
for my $command ('up', 'status', 'plan')
{
	($exit, $out, $err) = run_tapmig($node, [ $command, '--dir', $texts ]);
	like("$out$err", qr/duplicate key/, "$command: an error that repeats what is in a row") unless $command eq 'plan';
	is(control("$out$err"), 0, "$command: without its control characters") or diag "$out$err";
}
sql_value($node, q{SELECT tapmig.register('051', 'SELECT 1', E'x\x1b[31m\nSELECT')});
my $changed = migrations_dir({ '051_a.sql' => 'SELECT 2' });
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $changed ]);
is($exit, 4, 'a source with control characters, in an error');
is(control("$out$err"), 0, 'which is shown without them');

done_testing();
