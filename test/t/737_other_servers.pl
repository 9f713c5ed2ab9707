# make test-all and CI: what could not be tried is named and counted as skipped,
# and what there was no time for is not begun.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $top = top_dir();

sub run_with
{
	my ($env, @command) = @_;
	my $output = '';

	local %ENV = (%ENV, %$env);
	delete @ENV{ grep { !exists $env->{$_} } qw(PG_MAJOR PG_CONFIG TEST_UNTIL TEST_ON TEST_MINUTES XDG_CACHE_HOME) };
	my $h = IPC::Run::start(\@command, '<', '/dev/null', '>', \$output, '2>&1', IPC::Run::timeout(120));
	$h->finish;
	return ($h->result(0) // 255, $output);
}

# ------------------------------------------------------------ a bound of time

my $dir = scratch_dir();
my @files = map { write_file("$dir/$_.pl", <<"END") } 1, 2;
open(my \$fh, '>', '$dir/ran$_') or die;
print "1..2\\nok 1\\nok 2 # skip so\\n";
END
my ($exit, $output) = run_with({ TEST_UNTIL => time + 600 }, 'perl', "$top/test/lib/tap.pl", "$dir/counts", @files);
is("$exit " . read_file("$dir/counts"), "0 2 0 2\n", 'before the time is over, files run');
like($output, qr/^skipped in 1\.pl: so\nskipped in 2\.pl: so$/m, 'and why something was skipped stands at the end');
is(unlink(glob("$dir/ran*")), 2, 'each of them');
($exit, $output) = run_with({ TEST_UNTIL => time - 1 }, 'perl', "$top/test/lib/tap.pl", "$dir/counts", @files);
is("$exit " . read_file("$dir/counts"), "0 0 0 2\n", 'behind it each counts as one skipped');
is_deeply([ glob("$dir/ran*") ], [], 'none is run');
is(scalar(() = $output =~ / skipped: no time is left$/mg), 2, 'and it is said of each') or diag $output;

# -------------------------------------------------------------- other versions

# A machine of another Debian, as far as packages.sh can see, where make and
# unshare are stubs: what all.sh makes of it.
sub all
{
	my ($env, %stub) = @_;
	my $work = scratch_dir();

	mkdir "$work/$_" or die for qw(bin top top/test top/test/lib);
	for my $name (qw(all.sh packages.sh))
	{
		write_file("$work/top/test/lib/$name", read_file("$top/test/lib/$name"));
	}
	for my $name (keys %stub)
	{
		write_file("$work/bin/$name", "#!/bin/sh\n$stub{$name}\n");
		chmod 0755, "$work/bin/$name" or die;
	}
	my ($exit, $output) = run_with(
		{ PATH => "$work/bin:$ENV{PATH}", PG_MAJOR => 15, TAPMIG_ROOTS => "$work/roots", %$env },
		'bash', "$work/top/test/lib/all.sh");
	return ($exit, $output, $work);
}

my $good = 'echo "9 passed, 0 failed, 1 skipped"';
($exit, $output) = all({}, id => 'echo 1000', make => $good);
is($exit, 0, 'without root: this machine\'s version is enough') or diag $output;
like($output, qr/^Skipped: PostgreSQL 17: a root needs root$/m, '17 is named when its turn comes');
is(join('', $output =~ /^(PostgreSQL .*\n)/mg) . ($output =~ /([^\n]*)\n\z/)[0], <<'END' =~ s/\n\z//r, 'the end names all, the last line is the sum');
PostgreSQL 15: 9 passed, 0 failed, 1 skipped
PostgreSQL 17: SKIPPED, a root needs root
PostgreSQL 18: SKIPPED, a root needs root
9 passed, 0 failed, 3 skipped
END
($exit, $output) = all({ TEST_ON => '17 18' }, id => 'echo 1000', make => 'exit 1');
is($exit, 1, 'when all are skipped that is no success');
like($output, qr/^0 passed, 0 failed, 2 skipped\n\z/m, 'and counted so');
($exit, $output) = all({}, id => 'echo 1000', make => 'echo "9 passed, 2 failed, 0 skipped"; exit 1');
is($exit, 1, 'a failure fails it');
like($output, qr/^PostgreSQL 15: FAILED; 9 passed, 2 failed, 0 skipped\n(?:.*\n)*9 passed, 2 failed, 2 skipped\n\z/m, 'and is counted');
($exit, $output) = all({}, id => 'echo 1000', make => 'echo "1 passed, 0 failed, 0 skipped" >&2; exit 2');
is($exit, 0, 'counts on standard error are read too');
($exit, $output) = all({}, id => 'echo 1000', make => 'exit 2');
is($exit, 1, 'no counts: a failure');
like($output, qr/^PostgreSQL 15: FAILED, the run has no end; 1 failed\n(?:.*\n)*0 passed, 1 failed, 2 skipped\n\z/m, 'and said so');

# The stub is unshare: what would run in the root.
my $in_root = <<'END';
case "$*" in
*' true') exit 0 ;;
*debootstrap*) while [ "$1" != debootstrap ]; do shift; done && exec "$@" ;;
*packages.sh*) exit "${PACKAGES:-0}" ;;
esac
now=$(date +%s)
echo "seconds: $((TEST_UNTIL - now))"
echo '[12:00:00] 100_x.pl .. skipped: no time is left'
echo '5 passed, 0 failed, 1 skipped'
END
my %root = (id => 'echo 0', make => $good, unshare => $in_root, 'apt-get' => 'echo "Debian Debian http://localhost/debian"',
	debootstrap => 'for dir; do case $dir in */new) mkdir -p "$dir/etc/dpkg/dpkg.cfg.d" "$dir/etc/apt/apt.conf.d" ;; esac; done');
my $work;
($exit, $output, $work) = all({ TEST_MINUTES => 45 }, %root);
is($exit, 0, 'with roots') or diag $output;
like($output, qr/^Making a root of Debian trixie/m, 'a root is made');
ok(-d "$work/roots/sid/root" && !-e "$work/top/build/roots/sid/root", 'where TAPMIG_ROOTS says');
my @seconds = $output =~ /^seconds: (\d+)$/mg;
ok(@seconds == 2 && abs($seconds[0] - 22.5 * 60) < 60 && abs($seconds[1] - 45 * 60) < 60, 'they share the time that is left')
  or diag "@seconds";
like($output, qr/^PostgreSQL 17: 5 passed, 0 failed, 1 skipped, 1 files of tests among them for want of time \(TEST_MINUTES=45\)$/m,
	'what was not begun is named');
like($output, qr/^19 passed, 0 failed, 3 skipped\n\z/m, 'the sum');
($exit, $output) = all({ TEST_MINUTES => 1 }, %root);
is(join('', $output =~ /^(PostgreSQL .*\n)/mg), <<'END', 'without time for them they are skipped, this machine\'s own is not');
PostgreSQL 15: 9 passed, 0 failed, 1 skipped
PostgreSQL 17: SKIPPED, no time is left for it (TEST_MINUTES=1)
PostgreSQL 18: SKIPPED, no time is left for it (TEST_MINUTES=1)
END
($exit, $output) = all({ TEST_MINUTES => 45 }, %root, debootstrap => 'echo "E: Couldn\'t download it"; exit 1');
like($output, qr/^PostgreSQL 18: SKIPPED, debootstrap of sid failed: E: Couldn't download it$/m, 'no network: skipped with the reason');
($exit, $output) = all({ TEST_MINUTES => 45, PACKAGES => 100 }, %root);
like($output, qr/^PostgreSQL 18: SKIPPED, the tests' packages could not be installed: /m, 'no packages: likewise');
($exit, $output) = all({}, %root, unshare => 'exit 1');
like($output, qr/^PostgreSQL 18: SKIPPED, this machine gives no mount namespace$/m, 'a container without the right: likewise');
($exit, $output) = all({ XDG_CACHE_HOME => "$dir/cache", TAPMIG_ROOTS => '' }, %root);
ok(-d "$dir/cache/tapmig/roots/trixie/root", 'XDG_CACHE_HOME keeps the roots');
($exit, $output) = all({ XDG_CACHE_HOME => "$dir/cache", TAPMIG_ROOTS => '' }, %root);
unlike($output, qr/Making a root/, 'which are used again');

done_testing();
