# A minute of libFuzzer on the reading of scripts, in a backend: see
# test/fuzz/README.md for what it looks at, and "make fuzz" for longer.
#
# The scripts that are tried whole are those of test/fuzz/corpus, the regression
# tests' and the installed extensions'; made up are others out of the project's own
# only, so that they are the same on every machine. A failure leaves its input as base64 in
# the test's output, and its seed.

use strict;
use warnings;

use IPC::Run ();
use MIME::Base64 qw(encode_base64);
use TapmigTest;
use Test::More;

my $seconds = $ENV{FUZZ_SECONDS} // 60;
# As many as make a minute, and no more: the seed gives the same ones everywhere.
my $runs = $ENV{FUZZ_SECONDS} ? -1 : 500_000;
my $seed    = $ENV{FUZZ_SEED}    // 720;

my $node = tapmig_node('main', extension => 0, conf => "restart_after_crash = on\n");
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
my $pg_config = $ENV{PG_CONFIG} // "/usr/lib/postgresql/$major/bin/pg_config";
my $dir  = scratch_dir();
my $fuzz = top_dir() . '/test/fuzz';
my $out  = '';

my $built = IPC::Run::run([ 'bash', "$fuzz/build.sh", top_dir(), $pg_config, "$dir/objects" ], '>', \$out, '2>&1');
ok($built, 'the fuzzer is built') or diag $out;
is($out, '', 'without a warning');

# Runs it with arguments in a new database; what it says.
sub fuzz
{
	my ($encoding, @arguments) = @_;
	my $name = lc "fuzz_$encoding";
	my $log  = "$dir/$name.log";
	my ($stdout, $stderr);

	# What was found before has ended the server.
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server is gone';
	if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = '$name'") == 0)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 ENCODING $encoding LOCALE 'C'");
		$node->safe_psql($name, read_file("$fuzz/setup.sql"));
		$node->safe_psql($name,
			"CREATE FUNCTION tapmig_fuzz(log text, VARIADIC arguments text[]) RETURNS int AS '$dir/objects/tapmig_fuzz.so' LANGUAGE C");
		$node->safe_psql('postgres', "ALTER DATABASE $name SET $_") for 'client_min_messages = error', 'log_min_messages = fatal';
	}
	unlink $log;
	mkdir "$dir/found";
	# libFuzzer ends the backend when it is through. Slow is what takes long by the
	# processor's time, as fuzz_check.c sees it: by the clock a busy machine is slow.
	$node->psql($name,
		'SELECT tapmig_fuzz(' . quoted($log) . ', VARIADIC ARRAY[' . join(', ', map { quoted($_) } "-artifact_prefix=$dir/found/",
			'-rss_limit_mb=0', '-timeout=600', '-report_slow_units=600', '-print_final_stats=1', @arguments) . '])',
		stdout => \$stdout, stderr => \$stderr);
	return -e $log ? read_file($log) : "no log: $stderr";
}

# What was broken, with the input; '' if nothing.
sub broken
{
	my ($log) = @_;
	my @inputs = map { encode_base64(read_file($_), '') } glob "$dir/found/*";

	return '' if $log =~ /^FUZZ: end: /m && $log !~ /^FUZZ: broken/m && !@inputs;
	unlink glob "$dir/found/*";
	return join "\n", $log =~ /^(FUZZ: .*|.*ERROR: .*|no log.*)$/mg, map { "input in base64: $_" } @inputs;
}

# The corpus holds what was found before, so that this is where it is found again.
my @corpus = glob "$fuzz/corpus/*";
for my $encoding (qw(UTF8 SQL_ASCII LATIN1 EUC_JP))
{
	my $log = fuzz($encoding, @corpus);
	is(broken($log), '', "the corpus in $encoding");
	is(() = $log =~ /^Executed /mg, scalar @corpus, 'each of it was tried');
}

# Whole scripts, and a minute of made-up ones.
chomp(my $share = `$pg_config --sharedir`);
my @scripts = (glob(top_dir() . '/test/sql/*.sql'), glob(top_dir() . '/test/fixtures/*.sql'));
my @installed = glob "$share/extension/*--*.sql";
my $log = fuzz('UTF8', @scripts, @installed);
is(broken($log), '', scalar(@scripts) . ' scripts and ' . scalar(@installed) . ' of installed extensions');

mkdir "$dir/$_" for 'seeds', 'corpus';
IPC::Run::run([ $^X, "$fuzz/corpus.pl", "$dir/seeds", @scripts, @corpus ], '>', \$out, '2>&1') or die $out;
$log = fuzz('UTF8', "-seed=$seed", "-runs=$runs", "-max_total_time=$seconds", '-max_len=4000', "$dir/corpus", "$dir/seeds");
my ($end) = $log =~ /^FUZZ: end: (.*)$/m;
is(broken($log), '', "$seconds seconds with the seed $seed: " . ($end // 'no end'))
  or diag "seed $seed";
note $end // $log;

# That it went through everything, and did not stop at the door.
my %n = ($end // '') =~ /(\w[\w ]*?) (\d+)(?:,|$)/g;
cmp_ok($n{$_} // 0, '>=', 100, $_) for 'read', 'parsed', 'against the whole', 'other layouts', 'changed tokens', 'other data', 'against psql', 'linted';

done_testing();
