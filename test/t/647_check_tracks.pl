# check and dump with several tracks in one database: --also TRACK=DIR.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node    = tapmig_node('main');
my $main    = migrations_dir({ '001_agents.sql' => "CREATE TABLE agents (id int PRIMARY KEY);\n" });
my $billing = scratch_dir() . "/it's a = \"dir\"";
mkdir $billing or die;
write_file("$billing/001_bills.sql", "CREATE TABLE bills (agent int REFERENCES agents);\n");
my $sites = migrations_dir({ '001_sites.sql' => "ALTER TABLE bills ADD COLUMN site text;\n" });
my @also  = ('--also', "billing=$billing", "--also=o'dd track=$sites");

sub tapmig
{
	my ($db, @arguments) = @_;

	return run_tapmig($node, [@arguments], dbname => $db);
}

tapmig_database($node, 'dev');
is((tapmig('dev', 'up', @$_))[0], 0, "up @$_")
  for [ '--dir', $main ], [ '--dir', $billing, '--track', 'billing' ], [ '--dir', $sites, '--track', "o'dd track" ];
my ($exit, $out, $err) = tapmig('dev', 'dump', '--dir', $main, @also);
is("$exit|$out|$err", '0||', 'dump');
my $schema = read_file("$main/schema.sql");
is(scalar(() = $schema =~ /^INSERT INTO tapmig\.schema_migrations /mg), 3, 'all tracks are in it');
is((tapmig('dev', 'dump', '--dir', $main, '--out', '-'))[1], $schema, 'without --also too');

($exit, $out, $err) = tapmig('dev', 'dump', '--dir', scratch_dir(), '--out', '-');
is("$exit|$out|$err", "0|$schema|", 'from a directory without files, the same');

my $before = sql_value($node, 'SELECT count(*) FROM pg_database');
($exit, $out, $err) = tapmig('dev', 'check', '--dir', $main);
is($exit, 5, 'check of one track: exit code 5');
like($err, qr/\Atapmig: \S+ has another track, which was not built: billing o''dd track\nHINT:  Name its directory: tapmig check --also TRACK=DIR\.\n\z/,
	'and it says why');
for my $more ([], [ '--db', 'dev' ])
{
	($exit, $out, $err) = tapmig('dev', 'check', '--dir', $main, @also, @$more);
	is("$exit|$out|$err", '0||', "check of all of them @$more");
}
($exit, $out, $err) = tapmig('dev', 'check', '--dir', $main, reverse(map { "--also=$_" } "billing=$billing", "o'dd track=$sites"));
is($exit, 1, 'the order is as given') or diag $out;
like($err, qr/relation "bills" does not exist.*so the schema could not be built from \Q$sites\E/s, 'which directory it was');

# A file in another layout than what is applied: its own checksum counts, in each track.
write_file("$billing/001_bills.sql", "-- a comment\nCREATE TABLE bills (agent int REFERENCES agents);\n");
($exit, $out, $err) = tapmig('dev', 'up', '--dir', $billing, '--track', 'billing');
is($exit, 0, 'another layout') or diag $err;
is((tapmig('dev', 'check', '--dir', $main, @also))[0], 5, 'makes schema.sql stale');
is((tapmig('dev', 'dump', '--dir', $main, @also))[0], 0, 'dump');
is((tapmig('dev', 'check', '--dir', $main, @also, @$_))[0], 0, "and it is not @$_") for [], [ '--db', 'dev' ];

# What is pending in any of them
write_file("$sites/002_more.sql", "CREATE TABLE more (i int);\n");
($exit, $out, $err) = tapmig('dev', 'dump', '--dir', $main, '--out', '-', @also);
like($err, qr/WARNING:  1 of the files are not applied/, 'dump counts the files of all tracks');
($exit, $out, $err) = tapmig('dev', 'check', '--dir', $main, @also);
is($exit, 5, 'check finds a new file of another track');
like($out, qr/^\+CREATE TABLE public\.more \($/m, 'and shows it');
like($err, qr/is stale/, 'as stale');
is(sql_value($node, 'SELECT count(*) FROM pg_database'), $before, 'no database is left');

for my $case ([ 'billing', qr/--also billing: write it as TRACK=DIR/ ], [ '=x', qr/write it as TRACK=DIR/ ],
	[ 'billing=/no/where', qr{no such directory: /no/where} ])
{
	($exit, $out, $err) = tapmig('dev', 'check', '--dir', $main, '--also', $case->[0]);
	is("$exit|$out", '2|', "--also $case->[0]: exit code 2");
	like($err, $case->[1], 'its message');
	unlike($err, qr/could not be built/, 'nothing was begun');
}
($exit) = tapmig('dev', 'up', '--dir', $main, '--also', 'x=y');
is($exit, 2, '--also does not belong to up');

done_testing();
