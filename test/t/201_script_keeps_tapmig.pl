# A script cannot drop the extension, by whatever way it tries, and the session
# that tried is as usable as before.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main', extension => 0);
my $session = session($node);

$session->try($_)->{ok} or die $_
  for 'CREATE ROLE owner_of_it SUPERUSER', 'SET ROLE owner_of_it', 'CREATE EXTENSION tapmig', 'RESET ROLE';

for my $script (
	'DROP EXTENSION tapmig',
	'DROP EXTENSION IF EXISTS plpgsql, tapmig CASCADE',
	'DROP OWNED BY owner_of_it',
	'DROP OWNED BY owner_of_it CASCADE',
	q{DO $$ BEGIN EXECUTE 'DROP EXTENSION tapmig'; END $$},
	q{DO $$ BEGIN DROP OWNED BY owner_of_it; END $$})
{
	for my $call (q{SELECT tapmig.apply('1', $1)}, q{CALL tapmig.run('1', $1)})
	{
		is_error($session->try($call, bind => [ "CREATE TABLE there (i int);\n$script;" ]),
			'55000', qr/cannot drop the extension tapmig/, "$call of $script");
	}
}
is(sql_value($node, "SELECT to_regclass('there') IS NULL"), 't', 'nothing of the scripts is there');

# An error that the script catches leaves the extension where it is.
my $r = $session->try(q{SELECT tapmig.apply('1', $1)}, bind => [ <<'END' ]);
DO $$ BEGIN
	EXECUTE 'DROP EXTENSION tapmig';
EXCEPTION WHEN OTHERS THEN
	CREATE TABLE caught (i int);
END $$;
END
is($r->{value}, 'applied', 'a script that catches the error is applied') or diag $r->{message};
is(sql_value($node, "SELECT tapmig.is_applied('1') AND to_regclass('caught') IS NOT NULL"),
	't', 'and recorded');

# Outside of a script it is the owner's own business.
ok($session->try('DROP EXTENSION tapmig')->{ok}, 'by hand it can be dropped');

done_testing();
