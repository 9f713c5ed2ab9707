# Forty tracks, as of forty tenants, are brought forward by the same scripts at
# one moment. Tracks have nothing to do with each other: nobody fails, under
# repeatable read either.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my ($n_tracks, $n_versions) = (40, 60);
# One round's sessions may be there still when the next one's come.
my $node = tapmig_node('main', conf => "max_connections = 250\n");
my %calls = (
	apply => 'SELECT tapmig.apply($1, $2, track => $3)',
	run   => 'CALL tapmig.run($1, $2, track => $3)');

for my $isolation ('read committed', 'repeatable read')
{
	for my $how (sort keys %calls)
	{
		my $name = "$how, $isolation";
		my $db   = tapmig_database($node, "tracks $name");

		sql_value($node, qq{ALTER DATABASE "$db" SET default_transaction_isolation = '$isolation'});
		my $told = clients($node, $n_tracks, sub {
			my ($session, $i) = @_;

			return map {
				my $r = $session->try($calls{$how}, bind => [ sprintf('%03d', $_), "SELECT $_", "tenant_$i" ]);
				$r->{ok} ? $r->{value} : "$r->{sqlstate} $r->{message}"
			} 1 .. $n_versions;
		}, dbname => $db);

		my %count;
		$count{$_}++ for map { @$_ } @$told;
		is_deeply(\%count, { applied => $n_tracks * $n_versions }, "$name: each is applied in each track");
		is(sql_value($node, 'SELECT count(*) FROM tapmig.scripts', dbname => $db), $n_versions, "$name: each text is kept once");
		is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts', dbname => $db), 0, "$name: no failed attempt");
		verify_is_clean($node, $name, dbname => $db);
	}
}

done_testing();
