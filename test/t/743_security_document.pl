# doc/security.md: its tables of rights are what the catalogs say, and name every
# function, table and view of tapmig's.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $text = read_file(top_dir() . '/doc/security.md');

sub rows_below
{
	my ($heading) = @_;
	my ($table) = $text =~ /^\| \Q$heading\E .*\n\|[-|]+\|\n((?:\|.*\n)+)/m or die "no table $heading";
	my %who;

	for my $row (split /\n/, $table)
	{
		my (undef, $names, $who) = split /\s*\|\s*/, $row;
		$who =~ s/[:`].*|\s+$//g if $who !~ /^`/;
		$who =~ s/`//g;
		$who{$_} = $who for $names =~ /`(\w+)`/g;
	}
	return \%who;
}

# PUBLIC, a role, or nobody, of every object
sub rights
{
	my ($sql) = @_;
	return { map { $_->[0] => $_->[1] } @{ sql_try($node, $sql)->{rows} } };
}

my $grantees = q{coalesce((SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END, ' ') FROM aclexplode(%s) a WHERE a.grantee <> %s), 'nobody')};
my $functions = rights('SELECT proname, ' . sprintf($grantees, "coalesce(proacl, acldefault('f', proowner))", 'proowner')
	. q{ FROM pg_proc WHERE pronamespace = 'tapmig'::regnamespace});
my $documented = rows_below('function');
s/^granted$/nobody/ for values %$documented;
is_deeply($documented, $functions, 'the functions');

my $tables = rights('SELECT relname, ' . sprintf($grantees, 'relacl', 'relowner')
	. q{ FROM pg_class WHERE relnamespace = 'tapmig'::regnamespace AND relkind IN ('r', 'v')});
$documented = rows_below('table or view');
s/^its owner$/nobody/ for values %$documented;
is_deeply($documented, $tables, 'the tables and views');

is(sql_value($node, q{SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'tapmig'::regnamespace AND prosecdef}),
	join(' ', sort map { /^`?(\w+)`? is SECURITY DEFINER/ ? $1 : () } $text =~ /(`\w+` is SECURITY DEFINER)/g), 'those with the rights of the owner');

done_testing();
