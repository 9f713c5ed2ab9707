# Scripts that linters outside of the server are known to get wrong: each finds
# exactly what its head says, at these levels.
#
# The head of a file: -- Others: what they get wrong. -- finds: rule=level ...,
# or nothing; with "before 18" or "from 18" for these versions. -- only: from 18.
# -- given: statements that prepare the database, which has the tables of
# doc/lint.md. -- script: what is linted, to the end.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my @files = sort glob(fixture('lint') . '/*.sql');
cmp_ok(scalar @files, '>=', 40, 'the scripts were found');

my ($tables) = read_file(top_dir() . '/doc/lint.md') =~ /^```sql\n-- tables\n(.*?)^```$/ms;
my $node = tapmig_node('main');
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
$node->safe_psql('postgres', 'CREATE DATABASE tables');
$node->safe_psql('tables', "CREATE EXTENSION tapmig; $tables");

sub applies
{
	my ($which) = @_;
	my ($word, $version) = $which =~ /(from|before) (\d+)/ or return 1;
	return $word eq 'from' ? $major >= $version : $major < $version;
}

for my $file (@files)
{
	my ($name) = $file =~ m{(\w+)\.sql$};
	my ($head, $script) = read_file($file) =~ /\A(.*?)^-- script\n(.*)\z/ms or die $file;
	my ($given) = $head =~ /^-- given\n(.*)\z/ms;
	my ($only)  = $head =~ /^-- only: (.*)/m;
	my $wanted;

	while ($head =~ /^-- finds( [^:]*)?: (.*)/mg)
	{
		$wanted = $2 if applies($1 // '');
	}
	die "$file: finds what?" unless defined $wanted;
	# lint runs nothing, so that what needs no database of its own shares one.
	my $database = defined $given ? 'fixture' : 'tables';
	if (defined $given)
	{
		$node->safe_psql('postgres', "CREATE DATABASE fixture TEMPLATE tables");
		$node->safe_psql('fixture', $given =~ s/:DBNAME\b/fixture/gr);
	}

	my $r = sql_try($node, 'SELECT DISTINCT rule, level FROM tapmig.lint($1)', bind => [$script], dbname => $database);
	if (defined $only && !applies($only))
	{
		is($r->{sqlstate}, '42601', "$name: is no SQL in this version");
	}
	else
	{
		is($r->{ok} ? join(' ', sort map { "$_->[0]=$_->[1]" } @{ $r->{rows} }) || 'nothing' : $r->{message},
			join(' ', sort split / /, $wanted), $name);
	}
	$node->safe_psql('postgres', 'DROP DATABASE fixture') if defined $given;
}

done_testing();
