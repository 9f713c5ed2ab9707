# A large script takes memory in proportion to its size. Beyond what a call of
# length() with it takes: twice its size at most; where it is one literal three
# times, with the server's own trees and tuples. Two megabytes are allowed for what
# does not depend on the size.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $megabytes = 24;
my $node      = tapmig_node('main');

$node->safe_psql('postgres', 'CREATE TABLE big (t text)');
srand 1;
my @rows = map { join '', map { chr 97 + rand 26 } 1 .. 980 } 1 .. 1000 * $megabytes;
my %script = (
	inserts => join('', map { "INSERT INTO big VALUES ('$_');\n" } @rows),
	copy    => join("\n", 'COPY big FROM stdin;', @rows, '\\.', ''),
	literal => "INSERT INTO big VALUES ('" . join('', @rows) . "');\n");

# What a session has had of its own at most, in bytes, when it made the call.
sub peak
{
	my ($call, @bind) = @_;
	my $session = session($node);

	is($session->try("SELECT tapmig.apply('0', 'SELECT 1', track => pg_backend_pid()::text)")->{value}, 'applied', 'a first call');
	my $r = @bind ? $session->try($call, bind => \@bind) : $session->try($call);
	is($r->{sqlstate}, '', 'the call') or diag $r->{message};
	my $status = read_file('/proc/' . $session->pid . '/status');
	my %kb     = $status =~ /^(\w+):\s+(\d+) kB$/mg;
	$session->close;
	return 1024 * ($kb{VmHWM} - $kb{RssShmem} - $kb{RssFile});
}

sub check_times
{
	my ($name, $apply, $length, $size) = @_;
	my $times = ($apply - $length - 2 * 1024 * 1024) / $size;

	cmp_ok($times, '<=', $name =~ /^literal/ ? 3 : 2, sprintf '%s: %.1f times its size', $name, $times);
}

for my $name (sort keys %script)
{
	my $script = $script{$name};
	my $size   = length $script;

	check_times("$name, in the text of the call", peak("SELECT tapmig.apply('1', track => '${name}_text', sql => \$script\$$script\$script\$)"),
		peak("SELECT length(\$script\$$script\$script\$)"), $size);
	check_times("$name, as a parameter", peak('SELECT tapmig.apply($1, $2, track => $3)', '1', $script, $name), peak('SELECT length($1)', $script), $size);
}
is($node->safe_psql('postgres', 'SELECT count(*), sum(length(t)) FROM big'), join('|', 4 * @rows + 2, 6 * 980 * @rows), 'all rows are there');

done_testing();
