# A script of 1,000 small statements: rehearsed in less than twice the time that
# running it takes, also where each of them locks another table.

use strict;
use warnings;

use TapmigTest;
use Test::More;
use Time::HiRes qw(time);

my $node = tapmig_node('main', conf => "max_locks_per_transaction = 1000\n");
my $s = session($node);

$s->try('SET tapmig.rehearse_limit = 0; CREATE TABLE t (id int PRIMARY KEY, a int)');
$s->try('CREATE TABLE many' . $_ . ' (id int PRIMARY KEY, a int)') for 1 .. 1000;

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ @sorted / 2 ]; }

sub timed
{
	my ($sql, @bind) = @_;
	my $from = time;
	my $r = $s->try($sql, @bind ? (bind => \@bind) : ());
	my $ms = (time - $from) * 1000;

	die $r->{message} unless $r->{ok};
	return $ms;
}

my $version = 100;
for my $case (
	[ 'SELECT',        'SELECT %d' ],
	[ 'INSERT',        'INSERT INTO t VALUES (%d, 1)' ],
	[ 'CREATE TABLE',  'CREATE TABLE fresh%d (i int)' ],
	[ 'ALTER TABLE, the same one', 'ALTER TABLE t ALTER a SET DEFAULT %d' ],
	[ 'ALTER TABLE, another each', 'ALTER TABLE many%d ALTER a SET NOT NULL' ])
{
	my ($what, $format) = @$case;
	my $script = join '', map { sprintf "$format;\n", $_ } 1 .. 1000;
	my (@run, @rehearsed);

	for my $round (1 .. 5)
	{
		push @rehearsed, timed('SELECT count(*) FROM tapmig.rehearse($1)', $script);
		# Run the same way, and rolled back, so that each round finds the same.
		$s->try('BEGIN');
		my $ms = timed('SELECT tapmig.apply($1, $2)', $version, $script);
		push @run, $ms + timed('ROLLBACK');
	}
	my $ratio = median(@rehearsed) / median(@run);
	cmp_ok($ratio, '<', 2, sprintf('%s: %.2f times', $what, $ratio));
}

done_testing();
