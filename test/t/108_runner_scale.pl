# Many files, and a big one.

use strict;
use warnings;

use POSIX ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\n");

# Processor's time of the runners and of the server's processes that have ended, in
# seconds: by the clock a busy machine is slow.
sub work_done
{
	my $gone = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'";
	wait_until($node, $gone) or die 'a session does not end';
	my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
	my @server = split ' ', read_file("/proc/$node->{_pid}/stat") =~ s/.*\)//sr;
	my @own = POSIX::times();

	return ($own[3] + $own[4] + $server[13] + $server[14]) / $ticks;
}

# ----------------------------------------------------------------- 10,000 files

my $dir = scratch_dir();
my $name = 'a_name_as_long_as_they_are_in_practice_and_a_little_longer';
for my $i (1 .. 10_000)
{
	open(my $fh, '>', sprintf("$dir/%05d_%s_%d.sql", $i, $name, $i)) or die;
	print $fh "SELECT $i;\n";
	close $fh;
}
my ($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 6, '10,000 pending files') or diag $err;
is(() = $out =~ / pending$/mg, 10_000, 'a line for each');
($exit, $out, $err) = run_tapmig($node, [ 'baseline', '9990', '--dir', $dir ]);
is($exit, 0, 'baseline of 9,990 files') or diag $err;
is(() = $out =~ /^registered /mg, 9_990, 'all are recorded');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'up of the last ten') or diag $err;
is(() = $out =~ /^applied /mg, 10, 'they are applied');

# The bound is a wide one: it is there against a process per file, or a join of
# every file with every other, not to measure.
my $before = work_done();
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
my $seconds = work_done() - $before;
is("$exit|$out|$err", '0||', 'nothing to do with 10,000 files');
cmp_ok($seconds, '<', 10, sprintf 'which takes %.2f s', $seconds);

my $sum = sha256_file(sprintf("$dir/%05d_%s_%d.sql", 5_000, $name, 5_000));
is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations WHERE version = '05000'"), $sum,
	'a checksum in the middle is that of its file');

# ----------------------------------------------------------------- a 50 MB file

my $big = scratch_dir();
open(my $fh, '>', "$big/001_big.sql") or die;
print $fh "CREATE TABLE big (t text);\n";
my $row = "it''s \\ a \$row\$ :label ";
print $fh "INSERT INTO big VALUES ('" . ($row x 2_000) . "');\n" for 1 .. 1_100;
print $fh "INSERT INTO big VALUES ('last')";
close $fh;
cmp_ok(-s "$big/001_big.sql", '>', 50_000_000, 'a file of 50 MB');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $big, '--track', 'big' ], timeout => 600);
is($exit, 0, 'is applied') or diag substr($err, 0, 1000);
is(sql_value($node, 'SELECT count(*) FROM big'), 1_101, 'whole');
is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations WHERE track = 'big'"),
	sha256_file("$big/001_big.sql"), "the ledger's checksum is sha256sum's");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $big, '--track', 'big' ]);
is("$exit|$out|$err", '0||', 'and known again');

# An error at its end does not echo it
open($fh, '>>', "$big/001_big.sql") or die;
print $fh ";\nSELECT nosuch();\n";
close $fh;
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $big, '--track', 'big2' ], timeout => 600);
is($exit, 1, 'an error in it');
cmp_ok(length $err, '<', 2_000, 'does not echo the script');

# -------------------------------------------------------- many pending migrations

my $many = scratch_dir();
write_file(sprintf("$many/%03d_t.sql", $_), "CREATE TABLE many_$_ (i int);\n") for 1 .. 300;
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $many, '--track', 'many' ]);
is($exit, 0, '300 migrations') or diag $err;
is_deeply([ $out =~ /^applied (\d+)_t/mg ], [ map { sprintf '%03d', $_ } 1 .. 300 ], 'in order');

done_testing();
