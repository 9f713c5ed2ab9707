# doc/reference.md against the catalog, the source and the runner.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $text = read_file(top_dir() . '/doc/reference.md');

# The rows below a heading, cells without white space around them.
sub rows
{
	my ($heading) = @_;
	my ($table) = $text =~ /^#+ \Q$heading\E\n(?:(?!^#).*\n)*?^\|[-|]+\|\n((?:\|.*\n)+)/m
	  or die "no table under $heading";

	return map { [ map { s/^\s+|\s+$//gr } (split /(?<!\\)\|/)[ 1 .. 4 ] ] } split /\n/, $table;
}

sub catalog { return sql_try($node, $_[0])->{rows}; }

sub plain { return $_[0] =~ s/\A`|`\z//gr; }

# ---------------------------------------------------------------- functions

is_deeply(
	[ sort { $a->[0] cmp $b->[0] } map { [ plain($_->[0]), plain($_->[1]), $_->[2] ] } rows('Functions') ],
	[ sort { $a->[0] cmp $b->[0] } map { [ $_->[0] =~ s/::[a-z ]+(?:\[\])?//gr =~ s/\bIN //gr, @$_[ 1, 2 ] ] } @{ catalog(<<'SQL') } ],
SELECT format('tapmig.%s(%s)', proname, pg_get_function_arguments(oid)), coalesce(pg_get_function_result(oid), 'procedure'),
       CASE WHEN EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0) THEN 'everybody'
            WHEN EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 'pg_monitor'::regrole) THEN 'pg_monitor'
            ELSE 'granted' END
FROM pg_proc WHERE pronamespace = 'tapmig'::regnamespace AND prorettype <> 'trigger'::regtype
SQL
	'each function with its arguments, its result and who may call it');
is((grep { $_->[3] eq '' } rows('Functions')), 0, 'and what it does');

# ---------------------------------------------------------------- tables and views

my @relations = map { $_->[0] } @{ catalog(<<'SQL') };
SELECT relname FROM pg_class WHERE relnamespace = 'tapmig'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1
SQL
is_deeply([ sort $text =~ /^### tapmig\.(\w+)$/mg ], \@relations, 'each table and view');
for my $relation (@relations)
{
	is_deeply(
		[ map { [ plain($_->[0]), $_->[1] ] } rows("tapmig.$relation") ],
		catalog("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'tapmig.$relation'::regclass AND attnum > 0 ORDER BY attnum"),
		"the columns of $relation");
}
sql_value($node, 'CREATE ROLE nobody_special');
sql_value($node, 'CREATE ROLE monitoring IN ROLE pg_monitor');
is_deeply(
	catalog(<<'SQL'),
SELECT string_agg(relname, ' ' ORDER BY relname) FILTER (WHERE has_table_privilege('nobody_special', oid, 'SELECT')),
       string_agg(relname, ' ' ORDER BY relname) FILTER (WHERE has_table_privilege('monitoring', oid, 'SELECT'))
FROM pg_class WHERE relnamespace = 'tapmig'::regnamespace AND relkind IN ('r', 'v')
SQL
	[ [ 'schema_migrations', 'attempts health history running schema_migrations' ] ],
	'who reads them');
like($text, qr/`tapmig\.schema_migrations` is readable for everybody, `history` and `attempts` for pg_monitor, `scripts` for the\nowner; the views are for pg_monitor/,
	'as is said');

# ---------------------------------------------------------------- settings

is_deeply(
	[ sort { $a->[0] cmp $b->[0] } map { [ map { plain($_) } @$_[ 0, 1 ] ] } rows('Settings') ],
	sql_try($node, q{SELECT tapmig.version_key('1'); SELECT name, current_setting(name) FROM pg_settings WHERE name LIKE 'tapmig.%' ORDER BY name})->{rows},
	'the settings and their defaults');

# ---------------------------------------------------------------- error codes

my $errors = read_file(top_dir() . '/src/errors.h');
my %name;
$name{"TM$2$3$4"} = $1 while $errors =~ /(TAPMIG_ERRCODE_\w+)\s+MAKE_SQLSTATE\('T','M','(\d)','(\d)','(\d)'\)/g;
is_deeply([ map { $_->[0] } rows('Error codes') ], [ sort keys %name ], 'the error codes');
my $source = join '', map { read_file($_) } glob(top_dir() . '/src/*.c');
is_deeply([ map { $_->[0] } grep { "$_->[1]$_->[2]" =~ /not raised in this version/ } rows('Error codes') ],
	[ grep { $source !~ /\b$name{$_}\b/ } sort keys %name ], 'and which of them are not raised');

# ---------------------------------------------------------------- the runner

my (undef, $help) = run_tapmig(undef, ['--help']);
my ($listed) = $help =~ /^Commands:\n(.*?)\n\n/ms;
my %commands = map { my ($command) = $_->[0] =~ /tapmig (\w+)/; $command => $_->[1] } rows('The runner');
is_deeply([ sort keys %commands ], [ sort $listed =~ /^  (\w+) /mg ], 'the commands');
my ($common) = $text =~ /^Common options: (.*)\.$/m;
is_deeply([ sort $common =~ /`(--[\w-]+)`/g ], [ sort(($help =~ /^  (--[\w-]+)/mg), '--version') ],
	'the common options');
for my $command (sort keys %commands)
{
	my (undef, $own) = run_tapmig(undef, [ $command, '--help' ]);
	my ($usage) = $own =~ /\A(Usage: .*?)\n\n/s;
	my ($row) = grep { $_->[0] =~ /tapmig $command\b/ } rows('The runner');

	is_deeply([ sort "@$row[ 0, 1 ]" =~ /`?(--[\w-]+)/g ], [ sort grep { $_ ne '--dir' } $usage =~ /(--[\w-]+)/g ], "the options of $command");
}
my ($exits) = $help =~ /^Exit codes: (.*?)\.\n/ms;
my ($table) = $text =~ /^Exit codes:\n\n.*\n.*\n((?:\|.*\n)+)/m;
is_deeply([ $table =~ /^\| (\d+) \|/mg ], [ $exits =~ /\b(\d+) [a-z]/g ], 'the exit codes');

# An object of --json has the keys that are named.
my ($event) = $text =~ /`\{"event" : "migration", (.*?)\}`/s;
my ($error) = $text =~ /`\{"event" : "error", (.*?)\}`/s;
my $dir = migrations_dir({ '001_a.sql' => 'SELECT 1', '002_b.sql' => q{DO $$BEGIN RAISE 'a' USING DETAIL = 'b', HINT = 'c'; END$$} });
my (undef, $out) = run_tapmig($node, [ 'up', '--json', '--dir', $dir ]);
my @objects = split /\n/, $out;
is_deeply([ $objects[0] =~ /"(\w+)" :/g ], [ 'event', $event =~ /"(\w+)"/g ], "the keys of a migration's object");
is_deeply([ $objects[1] =~ /"(\w+)" :/g ], [ 'event', $error =~ /"(\w+)"/g ], "the keys of an error's object");

done_testing();
