# doc/ledger.md, doc/rehearsal.md and doc/scripts.md: their code runs, their tables are what the
# server says. (-- → begins what a statement returns.)

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $ledger  = read_file(top_dir() . '/doc/ledger.md');
my $scripts = read_file(top_dir() . '/doc/scripts.md');
my $node    = tapmig_node('main');

sub blocks { my ($text, $language) = @_; return $text =~ /^```$language\n(.*?)^```$/msg; }

sub rows
{
	my ($text, $heading) = @_;
	my ($table) = $text =~ /^## \Q$heading\E\n(?s:.*?)^\|[-|]+\|\n((?:\|.*\n)+)/m
	  or die "no table under $heading";
	return map { [ map { s/^\s+|\s+$//gr } (split /\|/)[ 1 .. 4 ] ] } split /\n/, $table;
}

# ---------------------------------------------------------------- ledger.md

my $sql = join '', blocks($ledger, 'sql');
my ($out, $err) = ('', '');
{
	local %ENV = $node->_get_env(PGDATABASE => 'postgres');
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1' ], '<', \$sql, '>', \$out, '2>', \$err);
}
is($err, '', 'ledger.md: its SQL runs');
is($out =~ s/^\n//gmr, join('', map { "$_\n" } $sql =~ /-- → (.*)/g), 'ledger.md: and returns what it says');

# Something to check in each kind of field, then the program of the document.
is(apply($node, '010_fields', "-- Why: Größe\n-- tapmig: store=off\nSELECT 1", source => 'ä')->{value},
	'applied', 'a row with directives');
is(apply($node, '010_fields', "-- Why: Größe\n-- tapmig: store=off\nSELECT  1;")->{value},
	'skipped', 'and with another layout');
is(apply($node, '1', 'SELECT 1', track => 'other')->{value}, 'applied', 'another track');
is(run($node, '2', 'SELECT 1', track => 'other')->{value}, 'applied', 'and a second event of it');
my ($program) = blocks($ledger, 'python');
my ($expected) = blocks($ledger, 'text');
sub checked
{
	local %ENV = ($node->_get_env(PGDATABASE => 'postgres'), PYTHONIOENCODING => 'utf8');
	IPC::Run::run([ 'python3', '-' ], '<', \$program, '>', \$out, '2>', \$err);
	return $out;
}
is(checked(), $expected, 'ledger.md: its program computes the chain') or diag($err);
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER refuse_row, DISABLE TRIGGER refuse_statement;
UPDATE tapmig.schema_migrations SET why = why || '!' WHERE version = '010';
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row,
  ENABLE ALWAYS TRIGGER refuse_statement;
SQL
is(checked(), '', 'ledger.md: and notices an edited row');
like($err, qr/AssertionError: 010/, 'ledger.md: which it names');

my @columns = map { map { /(\w+)/ } split /,/, $_->[0] } rows($ledger, 'schema_migrations');
is_deeply(\@columns,
	[ map { $_->[0] } @{ sql_try($node, q{SELECT attname FROM pg_attribute
	   WHERE attrelid = 'tapmig.schema_migrations'::regclass AND attnum > 0 ORDER BY attnum})->{rows} } ],
	'ledger.md: the columns of schema_migrations');

# ---------------------------------------------------------------- rehearsal.md

my $rehearsal = read_file(top_dir() . '/doc/rehearsal.md');
$sql = join '', blocks($rehearsal, 'sql');
{
	local %ENV = $node->_get_env(PGDATABASE => 'postgres');
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1' ], '<', \$sql, '>', \$out, '2>', \$err);
}
is($err, '', 'rehearsal.md: its SQL runs');
is($out, join('', map { "$_\n" } $sql =~ /-- → (.*)/g), 'rehearsal.md: and returns what it says');
my ($failure) = blocks($rehearsal, 'text');
my ($statement) = $failure =~ /line 1: (.*)/;
my $failed = sql_try($node, 'SELECT * FROM tapmig.rehearse($1)', bind => [$statement]);
is("ERROR:  $failed->{message}\nDETAIL:  $failed->{detail}\nCONTEXT:  $failed->{context}\n", $failure,
	'rehearsal.md: the error is what it says');
is_deeply([ map { map { /(\w+)/ } split /,/, $_->[0] } rows($rehearsal, 'What it returns') ],
	[ map { $_->[0] } @{ sql_try($node, q{SELECT n FROM pg_proc, unnest(proargnames, proargmodes) WITH ORDINALITY u (n, m, i)
		WHERE oid = 'tapmig.rehearse'::regproc AND m = 't' ORDER BY i})->{rows} } ],
	'rehearsal.md: the columns');
$node->safe_psql('postgres', 'DROP TABLE agents, reports');

# ---------------------------------------------------------------- scripts.md

for my $row (rows($scripts, 'Versions'))
{
	my ($given, $version, $name) = map { s/`//gr } @$row;
	my $r = sql_try($node, q{SELECT version, name FROM tapmig.plan(ARRAY[$1], track => 'empty')},
		bind => [$given]);
	is_deeply($r->{rows}, [ [ $version, $name eq '' ? undef : $name ] ], "scripts.md: version $given");
}

is_deeply(
	[ sort { $a->[0] cmp $b->[0] } map { [ map { s/`//gr } @$_[ 0, 1 ] ] } rows($scripts, 'Settings') ],
	sql_try($node, q{SET tapmig.track = main; SELECT tapmig.version_key('1');
		SELECT name, current_setting(name) FROM pg_settings WHERE name LIKE 'tapmig.%' ORDER BY name COLLATE "C"})->{rows},
	'scripts.md: the settings and their defaults');

my ($known) = sql_error($node, q{SELECT * FROM tapmig.statements('-- tapmig: x=1')})->{hint} =~ /are: (.*)\./;
is_deeply([ sort map { $_->[0] =~ /`([\w-]+)=/ } rows($scripts, 'Directives') ],
	[ grep { $_ ne 'approved-by' } sort split /, /, $known ], 'scripts.md: the directives');

my ($example) = blocks($scripts, 'sql');
$node->safe_psql('postgres', 'CREATE TABLE reports (agent_id int, at timestamptz)');
is(apply($node, '020_example', $example)->{sqlstate}, 'TM006', 'scripts.md: the example requires a version');
apply($node, '002', 'SELECT 1');
is(apply($node, '020_example', $example)->{value}, 'applied', 'scripts.md: and is a script');

# psql's commands: the first rows are accepted, the last one refused.
my ($table) = $scripts =~ /^## psql's commands\n(?s:.*?)^\|[-|]+\|\n((?:\|.*\n)+)/m;
my ($accepted, $refused) = $table =~ /\A(.*)^\| refused \|([^\n]*)\|\n\z/ms;
my %line_of = (
	'\set ON_ERROR_STOP on'  => '\set ON_ERROR_STOP on',
	'\copy t from stdin'     => "\\copy reports from stdin\n\\.",
	'\restrict'              => "\\restrict x\n\\unrestrict x",
	'\unrestrict'            => '\unrestrict x',
	'\encoding UTF8'         => '\encoding UTF8');
my $n = 100;
for my $command ($accepted =~ /`(\\[^`]+)`/g)
{
	my $r = apply($node, $n++, ($line_of{$command} // $command) . "\nSELECT 1;\n");
	is($r->{value}, 'applied', "scripts.md: $command is accepted") or diag($r->{message});
}
for my $command ($refused =~ /`(\\[^`]+)`/g)
{
	my $line = $command eq '\set' ? '\set x 1' : $command eq '\copy' ? q{\copy t from 'file'} : $command;
	is(apply($node, $n++, "SELECT 1;\n$line\n")->{sqlstate}, 'TM009', "scripts.md: $command is refused");
}

done_testing();
