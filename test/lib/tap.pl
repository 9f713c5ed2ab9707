#!/usr/bin/perl
# tap.pl COUNTS FILE...: runs TAP tests and writes "passed failed skipped" to
# the file COUNTS.
#
# Each assertion counts, but a skipped one is not a passed one. A file that is
# skipped whole counts as one skipped; one that dies, runs over its bound or has
# no valid plan as one failed, beside the assertions that it made. PG_TEST_BOUND:
# the bound of a file, in seconds.
#
# Files that take long come first, so that none of them is left alone at the end.
#
# TEST_UNTIL=seconds since 1970: no file is begun after that; each that is left
# counts as one skipped.

use strict;
use warnings;

use File::Basename qw(basename);
use TAP::Harness;

my ($counts, @files) = @ARGV;
my $bound = $ENV{PG_TEST_BOUND} // 1200;
my $jobs  = $ENV{PG_TEST_JOBS} // 3;
my $until = $ENV{TEST_UNTIL} || 0;

my @long = qw(691_lint_postgres_suite 710_equality 740_hostile_server 634_packages 633_deploy 720_fuzz
  680_lint_documents 400_readme 430_debian_schemas 735_restore_from_older 736_pg_upgrade 665_whole_path
  650_promote 630_runner_sh 645_dump_check 543_stepwise_deaf_client);
my %place = map { $long[$_] => $_ } 0 .. $#long;
my $place_of = sub { return $place{ basename($_[0], '.pl') } // @long };
@files = sort { $place_of->($a) <=> $place_of->($b) } @files;

my $harness = TAP::Harness->new({
	verbosity => 0,
	failures  => 1,
	comments  => 0,
	timer     => 1,
	jobs      => $jobs,
	merge     => 0,
	exec      => sub {
		my ($self, $file) = @_;
		my $left = $until - time;

		return [ $^X, '-e', 'print "1..0 # SKIP no time is left\n"' ] if $until && $left <= 0;
		# A file that hangs is ended before the whole run is.
		return [ 'timeout', '-k', '20', $until && $left + 540 < $bound ? $left + 540 : $bound, $^X, $file ];
	},
});

# Why something was skipped, at the end
my %why;
$harness->callback(
	made_parser => sub {
		my ($parser, $job) = @_;
		my $file = $job->[1];
		$parser->callback(
			ALL => sub {
				my ($line) = @_;
				$why{$file}{ $line->explanation }++
				  if ($line->is_test || $line->is_plan) && $line->has_skip && length $line->explanation;
			});
	});

my $all = $harness->runtests(map { [ $_, basename($_) ] } @files);
my ($passed, $failed, $skipped) = (0, 0, 0);

for my $parser ($all->parsers)
{
	my $skips = () = $parser->skipped;
	my $bad   = () = $parser->failed;
	my $good  = () = $parser->passed;

	if (defined $parser->skip_all)
	{
		$skipped++;
		next;
	}
	$bad++ if !$bad && ($parser->parse_errors || $parser->exit || $parser->wait);
	$bad++ if !$bad && !$parser->tests_run;
	$passed  += $good - $skips;
	$failed  += $bad;
	$skipped += $skips;
}
$failed += @files - $all->parsers if @files > $all->parsers;

for my $file (sort keys %why)
{
	print map { "skipped in $file: $_" . ($why{$file}{$_} > 1 ? " ($why{$file}{$_} tests)" : '') . "\n" } sort keys %{ $why{$file} };
}

open(my $fh, '>', $counts) or die "$counts: $!";
print $fh "$passed $failed $skipped\n";
close($fh) or die "$counts: $!";
exit($failed ? 1 : 0);
