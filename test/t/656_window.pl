# up --window: what loses data by its own word runs at night only.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "timezone = 'Asia/Tokyo'\n");
my ($exit, $out, $err);
my $number = 0;

# Hours from now, in the server's time, as HH:MM
sub at { return sql_value($node, "SELECT to_char(clock_timestamp() + interval '$_[0] hours', 'HH24:MI')"); }

sub up
{
	my ($window, %opt) = @_;
	my $dir = $opt{dir} // migrations_dir({
			'001_a.sql' => "CREATE TABLE a$number (i int);\n",
			'002_b.sql' => $opt{script} // "-- tapmig: loses=a$number, approved-by=\"N. N., ticket 4711\"\nDROP TABLE a$number;\n",
			'003_c.sql' => "CREATE TABLE c$number (i int);\n",
		});

	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--track', 't' . $number++, '--window', $window ],
		env => $opt{env} // {});
	return join ' ', $exit, $out =~ /^applied (\d+)/mg;
}

my $open   = at(-1) . '-' . at(1);
my $closed = at(1) . '-' . at(2);
is(up($open), '0 001 002 003', 'in the window');
is(up($closed), '7 001', 'outside of it: what is before is applied, it and what is after is not');
like($err, qr/\Atapmig: 002_b loses data, by its own word, and is for $closed only: it is \d\d:\d\d JST on the server; the migrations before it are in\nHINT:  Run tapmig up again in the window\.\n\z/,
	'its message');
is(sql_value($node, "SELECT to_regclass('a1') IS NOT NULL AND to_regclass('c1') IS NULL"), 't', 'nothing is lost, nothing overtakes');
is(up(at(-2) . '-' . at(-1)), '7 001', 'a window that is over');
is(up(at(1) . '-' . at(-1)), '7 001', 'all day but now');
is(up(at(-1) . '-' . at(-2)), '0 001 002 003', 'all day but an hour that is over');

# Across midnight: one of these is, whatever the time.
is(up(at(-12) . '-' . at(1)), '0 001 002 003', 'from half a day ago');
is(up(at(-1) . '-' . at(12)), '0 001 002 003', 'for half a day');
is(up(at(2) . '-' . at(13)), '7 001', 'later, for half a day');

is(up($closed, script => "SELECT 1;\n"), '0 001 002 003', 'nothing is lost: no window');
is(up($closed, script => "-- Why: loses=nothing\n-- tapmig: store=off\nSELECT '-- tapmig: loses=x';\n"), '0 001 002 003',
	'a word that is no directive');
is(up($closed, script => "/* */\n\n-- tapmig: approved-by=x\n-- tapmig: loses=a.b\nSELECT 1;\n"), '7 001', 'the server reads the directive');
is(up($closed, script => "SELEC;\n"), '1 001', 'a script that cannot be read');
is(() = $err =~ /ERROR:/g, 1, 'says so once');
is(up($closed, script => "-- tapmig: loses=a.b, approved-by=x\nCREATE INDEX CONCURRENTLY ON a$number (i);\n"), '7 001', 'a stepwise one');
is(up($open, env => { PGTZ => 'America/New_York' }), '0 001 002 003', "the server's time zone, not the client's");
is(up($closed, env => { PGTZ => 'America/New_York' }), '7 001', 'likewise');

my $dir = migrations_dir({});
for my $wrong ('2-4', '02:00', '25:00-26:00', '23:00-24:01', '02:60-03:00', '02:00-02:00', '02:00-04:00;', 'a-b')
{
	like(up($wrong, dir => $dir), qr/^2$/, "--window $wrong: exit code 2");
	like($err, qr/--window \Q$wrong\E/, 'which is named');
}
is(up('23:00-24:00', dir => $dir), '0', 'a day ends at 24:00');

# promote has it too.
my $files = migrations_dir({ '001_a.sql' => "-- tapmig: loses=a, approved-by=x\nSELECT 1;\n" });
run_tapmig($node, [ 'up', '--dir', $files, '--track', 'promoted' ], dbname => tapmig_database($node, 'staging'));
my @promote = ('promote', '--dir', $files, '--track', 'promoted', '--from', 'dbname=staging', '--soak', '0');
($exit, $out, $err) = run_tapmig($node, [ @promote, '--window', $closed ]);
is($exit, 7, 'promote --window');
($exit, $out, $err) = run_tapmig($node, [ @promote, '--window', $open ]);
is($exit, 0, 'open') or diag $err;

# A role that may not ask for directives
$node->safe_psql('postgres', 'CREATE ROLE deployer LOGIN; GRANT EXECUTE ON FUNCTION tapmig.plan TO deployer; GRANT EXECUTE ON PROCEDURE tapmig.run TO deployer');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ '001_a.sql' => 'SELECT 1' }), '--track', 'rights', '--window', $open ],
	env => { PGUSER => 'deployer' });
is($exit, 1, 'without the right to ask: refused') or diag $err;
like($err, qr/this role may not use tapmig \(SQLSTATE 42501\)\nHINT:  .*GRANT/, 'its message');

done_testing();
